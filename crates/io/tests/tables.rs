//! Tables as people have them: of pandas, of R, of a spreadsheet; and what no reader should guess.

use bayesburn_io::{
    Heading, IoError, Missing, Noted, TableOptions, read_array, read_draws, read_draws_and_truths, read_observations,
    read_parameters, read_values,
};
use ndarray::{ArrayD, array};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn text(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).expect("written");
        path
    }

    fn read(&self, content: impl AsRef<[u8]>, options: &TableOptions) -> Result<Noted<ArrayD<f32>>, IoError> {
        read_array(self.text("table.csv", content), options)
    }
}

fn plain() -> TableOptions {
    TableOptions::new()
}

fn names(names: &[&str]) -> bayesburn_core::ParameterNames {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[track_caller]
fn says(text: impl ToString, parts: &[&str]) {
    let text = text.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// That the notes are these, in order, of each a part.
#[track_caller]
fn noted<T>(read: &Noted<T>, parts: &[&str]) {
    assert_eq!(read.notes.len(), parts.len(), "{:?}", read.notes);
    read.notes.iter().zip(parts).for_each(|(note, part)| says(note, &[".csv: ", part]));
}

#[test]
fn a_heading_that_is_a_number_never_becomes_data() {
    let folder = Folder::new();
    // Labels of pandas, which name nothing.
    for (content, expected) in [
        ("0\n1.588\n1.749\n", array![[1.588], [1.749]].into_dyn()),
        ("0,1\n1.5,2\n3,4\n", array![[1.5, 2.0], [3.0, 4.0]].into_dyn()),
        (",2019,2020\n0,3,4\n1,5,6\n", array![[3.0, 4.0], [5.0, 6.0]].into_dyn()),
    ] {
        let read = folder.read(content, &plain()).expect(content);
        assert_eq!(read.value, expected);
        says(read.notes.last().expect("a note"), &["taken for a heading", "name nothing"]);
    }
    for content in
        ["2020\n1.588\n1.749\n", "2020\n3\n5\n", "0\n1\n1\n", "0,1\n3,4\n", "2018,2019,2020\n1,2,3\n", "0,1\n"]
    {
        let error = folder.read(content, &plain()).expect_err(content);
        says(error, &["table.csv: line 1", "may be a heading or data", "--header no", "Heading::Present"]);
        // As it is told.
        let rows = content.lines().count();
        let data = folder.read(content, &plain().with_heading(Heading::Absent)).expect(content);
        assert_eq!((data.value.shape()[0], data.notes.len()), (rows, 0), "{content}");
        if rows > 1 {
            let read = folder.read(content, &plain().with_heading(Heading::Present)).expect(content);
            assert_eq!((read.value.shape()[0], read.notes.len()), (rows - 1, 1), "{content}");
        }
    }
    // Where a column has that name, it is one.
    let read = folder.read("2021,2020\n1.5,2.5\n", &plain().with_columns(["2020", "2021"])).expect("named so");
    assert_eq!(read.value, array![[2.5, 1.5]].into_dyn());
    // Without a heading.
    for (content, rows) in [("0.5,-0.5,1,0\n".repeat(50), 50), ("1,2\n3,4\n".to_owned(), 2), ("40\n".to_owned(), 1)] {
        let read = folder.read(&content, &plain()).expect("data");
        assert_eq!((read.value.shape()[0], read.notes.len()), (rows, 0));
    }
    says(folder.read("rt,2\n1,2\n", &plain()).expect_err("mixed"), &["words and numbers"]);
}

#[test]
fn columns_that_number_rows_are_left_out() {
    let folder = Folder::new();
    let expected = array![[1.5, 2.0], [3.0, 4.0]].into_dyn();
    let (pandas, r) = (",mu,tau\n0,1.5,2\n1,3,4\n", "\"\",\"mu\",\"tau\"\n\"1\",1.5,2\n\"2\",3,4\n");
    for (content, from) in [
        (pandas, "from 0 on"),
        (r, "from 1 on"),
        ("\"mu\",\"tau\"\n\"1\",1.5,2\n\"2\",3,4\n", "from 1 on"),
        ("Unnamed: 0,mu,tau\n0,1.5,2\n1,3,4\n", "from 0 on"),
        (";mu;tau\n0;1,5;2\n1;3,0;4\n", "from 0 on"),
    ] {
        let read = folder.read(content, &plain().with_columns(["mu", "tau"])).expect(content);
        assert_eq!(read.value, expected, "{content}");
        says(read.notes.last().expect("a note"), &["column 1, which has no name", from, "left out"]);
    }
    for content in [",mu\n0,1.5\n2,3\n", ",mu\n1.5,2\n3,4\n", "mu,,tau\n1,5,2\n3,6,4\n", "mu\n3,1\n4,2\n6,5\n8,7\n"] {
        says(folder.read(content, &plain()).expect_err(content), &["has no name", "index=False", "row.names=FALSE"]);
    }
    says(folder.read(",mu\na,1.5\n", &plain()).expect_err("a word"), &["line 2, column 1", "`a` is no number"]);
    // An empty last column is not one more.
    let missing = plain().with_missing(Missing::Nan);
    says(folder.read("mu,tau\n1,2,\n2,3,\n", &missing).expect_err("ragged"), &["line 1 has 2 cells", "3:"]);

    let values = read_values(folder.text("q.csv", ",log_prob\n0,-1.5\n1,-inf\n"), &plain()).expect("one column");
    assert_eq!(values.value, array![-1.5, f32::NEG_INFINITY]);
    noted(&values, &["left out"]);
}

#[test]
fn columns_are_found_by_their_names() {
    let folder = Folder::new();
    let known = plain().with_columns(["rt", "choice"]);
    let in_order = folder.read("rt,choice\n0.25,1\n", &known).expect("both");
    noted(&in_order, &[]);
    let swapped = folder.read("choice,rt\n1,0.25\n", &known).expect("both");
    assert_eq!(swapped.value, in_order.value);
    noted(&swapped, &["put in the order [\"rt\", \"choice\"]"]);
    for content in ["rt,chioce\n1,2\n", "rt\n1\n", "rt,choice,subject\n1,2,3\n", "rt,rt,choice\n1,2,3\n"] {
        let error = folder.read(content, &known).expect_err(content);
        says(error, &[content.lines().next().expect("a heading").split(',').next_back().expect("a name")]);
        says(folder.read(content, &known).expect_err(content), &["[\"rt\", \"choice\"]", "expected"]);
    }
    says(folder.read("0.5,1,2\n", &known).expect_err("3"), &["3 columns", "[\"rt\", \"choice\"] are expected"]);
    let read = folder.read("age,choice,rt\n30,1,0.25\n", &known.clone().with_others(1)).expect("a context");
    assert_eq!(read.value, array![[0.25, 1.0, 30.0]].into_dyn());
    // Of unknown names it is said.
    noted(&folder.read("rt,choice\n0.25,1\n", &plain()).expect("two columns"), &["taken in this order"]);
    says(folder.read("data_set,x\n0,1\n", &plain()).expect_err("several"), &["`data_set`", "[M, N, F]"]);
    says(folder.read("mu,mu\n1,2\n", &plain()).expect_err("twice"), &["are named `mu`"]);
}

#[test]
fn parameters_are_found_by_their_names_and_nothing_else_is_one() {
    let folder = Folder::new();
    let of_r = folder.text("r.csv", "mu,tau,.chain,.iteration,.draw\n1.5,2,1,1,1\n3,4,1,2,2\n");
    let draws = read_draws(&of_r, &plain()).expect("two parameters");
    assert_eq!((&draws.value.names()[..], draws.value.num_draws()), (&names(&["mu", "tau"])[..], 2));
    noted(&draws, &[".iteration"]);
    let of_stan = folder.text("s.csv", "# model = m\nlp__,accept_stat__,mu\n-1,0.9,1.5\n# Adaptation\n-2,0.8,3\n");
    let draws = read_draws(&of_stan, &plain()).expect("one parameter");
    assert_eq!(draws.value.values(), array![[[1.5], [3.0]]]);
    noted(&draws, &["accept_stat__"]);
    let indexed = folder.text("i.csv", ",data_set,mu,tau\n0,0,1,2\n1,0,3,4\n2,1,5,6\n3,1,7,8\n");
    let truths = folder.text("t.csv", ",tau,mu\n0,2,1\n1,4,3\n");
    let read = read_draws_and_truths(&indexed, &truths, &plain()).expect("two parameters");
    assert_eq!(read.value.0.values().dim(), (2, 2, 2));
    assert_eq!(read.value.1, array![[1.0, 2.0], [3.0, 4.0]]);
    noted(&read, &["left out", "left out", "put in the order"]);
    // Labels of pandas above truths, and an extra column.
    let labelled = folder.text("l.csv", "0,1\n1.5,2\n3,4\n");
    let read = read_draws_and_truths(&indexed, &labelled, &plain()).expect("in order");
    assert_eq!(read.value.1, array![[1.5, 2.0], [3.0, 4.0]]);
    noted(&read, &["left out", "taken for a heading"]);
    let more = folder.text("m.csv", "mu,tau,index\n1,2,0\n3,4,1\n");
    let error = read_draws_and_truths(&indexed, &more, &plain()).expect_err("3 columns");
    says(error, &["[\"mu\", \"tau\", \"index\"]", "[\"mu\", \"tau\"] are expected"]);
    says(read_draws(&more, &plain().with_columns(["mu", "tau"])).expect_err("3 columns"), &["\"index\""]);
    // A parameter may be called as it likes where names are known.
    let chain = folder.text("c.csv", "chain\n1.5\n");
    assert_eq!(read_parameters(&chain, &names(&["chain"]), &plain()).expect("known").value, array![[1.5]]);
}

#[test]
fn what_separates_cells_is_found_and_no_number_is_misread() {
    let folder = Folder::new();
    let expected = array![[1.5, 2.0], [3.5, 4.0]].into_dyn();
    for (content, notes) in [
        ("mu;tau\n1.5;2\n3.5;4\n", 0),
        ("mu;tau\n1,5;2,0\n3,5;4,0\n", 1),
        ("1,5;2,0\n3,5;4,0\n", 1),
        ("mu\ttau\n1.5\t2\n3.5\t4\n", 0),
        ("mu\ttau\n1,5\t2\n3,5\t4\n", 1),
        ("\u{feff}mu;tau\r\n1,5;2\r\n3,5;4\r\n", 1),
        ("1.5, 2\n3.5,\t4\n", 0),
    ] {
        let read = folder.read(content, &plain()).expect(content);
        assert_eq!(read.value, expected, "{content}");
        assert_eq!(read.notes.iter().filter(|note| note.contains("decimal points")).count(), notes, "{content}");
    }
    for (content, part) in [
        ("mu;tau\n1,500;2\n", "one for thousands"),
        ("mu;tau\n1,5;2.0\n", "other numbers have a point"),
        ("mu;tau\n1.000,5;2\n", "`1.000,5` is no number"),
        ("mu\n\"1,000.5\"\n", "without separators of thousands"),
        ("mu,tau\n1,5,2,0\n", "line 1 has 2 cells"),
        ("mu\n1,5\n2,7\n", "line 1 has 1 cells"),
        ("\"mu\" \"tau\"\n\"1\" 1.5 2\n", "not by spaces"),
        ("mu\n1e300\n", "1e300 is too large"),
        ("mu\n0x10\n", "`0x10` is no number"),
    ] {
        says(folder.read(content, &plain()).expect_err(content), &[part]);
    }
    let utf16: Vec<u8> = "\u{feff}mu,tau\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    says(folder.read(utf16, &plain()).expect_err("UTF-16"), &["UTF-16: save it as UTF-8"]);
    says(folder.read(b"mu\n1\n\xb5\n", &plain()).expect_err("Latin-1"), &["line 3 is not written in UTF-8"]);
}

#[test]
fn lines_are_those_of_the_file() {
    let folder = Folder::new();
    for (content, line) in [
        ("x,y\n1,2\n3,b\n", 3),
        ("# about\n\nx,y\n# more\n1,2\n\n\n3,b\n", 8),
        ("x,y\r\n1,2\r\n   \r\n3,b\r\n", 4),
        ("x,y\r1,2\r3,b", 3),
        ("\"x\nz\",y\n1,2\n3,b\n", 4),
        ("1.5,b\n", 1),
    ] {
        let error = folder.read(content, &plain().with_heading(Heading::Absent)).expect_err(content);
        says(error, &[&format!("line {line}, column 2: `b` is no number")]);
    }
}

#[test]
fn missing_values_are_named_or_nan() {
    let folder = Folder::new();
    for cell in ["", "NA", "NaN", "nan", "null"] {
        let content = format!("x,y\n1,2\n3,{cell}\n");
        let error = folder.read(&content, &plain()).expect_err("missing");
        let shown = if cell.is_empty() { "an empty cell".to_owned() } else { format!("`{cell}`, a missing value") };
        says(error, &["line 3, column 2", &shown]);
        let path = folder.text("table.csv", &content);
        let read = read_observations(path, &plain().with_missing(Missing::Nan)).expect("missing");
        assert!(read.value[[0, 1, 1]].is_nan() && read.value[[0, 1, 0]] == 3.0);
    }
}
