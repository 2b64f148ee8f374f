//! Files of every format: what is written is read, what others write is read, and what is no such file is named.

use bayesburn_core::{Draws, ParameterNames};
use bayesburn_io::{IoError, TableOptions, write_arrays, write_draws, write_values};
use ndarray::{Array1, Array2, Array3, ArrayD, Axis, array};
use ndarray_npy::{NpzWriter, WritableElement, read_npy, write_npy};
use netcdf_reader::NcFile;
use std::{
    fs,
    fs::File,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

type Read<T> = Result<T, IoError>;

// As they are called where nothing is known of tables; `tables.rs` tests what is said of these.

fn read_array(path: impl AsRef<Path>) -> Read<ArrayD<f32>> {
    bayesburn_io::read_array(path, &TableOptions::new()).map(|read| read.value)
}

fn read_observations(path: impl AsRef<Path>) -> Read<Array3<f32>> {
    bayesburn_io::read_observations(path, &TableOptions::new()).map(|read| read.value)
}

fn read_values(path: impl AsRef<Path>) -> Read<Array1<f32>> {
    bayesburn_io::read_values(path, &TableOptions::new()).map(|read| read.value)
}

fn read_draws(path: impl AsRef<Path>) -> Read<Draws> {
    bayesburn_io::read_draws(path, &TableOptions::new()).map(|read| read.value)
}

fn read_draws_and_truths(draws: impl AsRef<Path>, truths: impl AsRef<Path>) -> Read<(Draws, Array2<f32>)> {
    bayesburn_io::read_draws_and_truths(draws, truths, &TableOptions::new()).map(|read| read.value)
}

fn read_parameters(path: impl AsRef<Path>, names: &ParameterNames) -> Read<Array2<f32>> {
    bayesburn_io::read_parameters(path, names, &TableOptions::new()).map(|read| read.value)
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).expect("written");
        self.path(name)
    }
}

fn names(names: &[&str]) -> ParameterNames {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// 2 data sets, 3 draws, 2 parameters.
fn draws() -> Draws {
    let values = Array3::from_shape_fn((2, 3, 2), |(m, l, d)| (m * 100 + l * 10 + d) as f32 + 0.1);
    Draws::new(names(&["b", "a, c"]), values).expect("two names")
}

fn says(error: &IoError, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn draws_come_back_from_every_format_that_has_names() {
    let folder = Folder::new();
    for name in ["new/draws.npz", "draws.safetensors", "draws.csv", "DRAWS.CSV"] {
        write_draws(folder.path(name), &draws()).expect(name);
        assert_eq!(read_draws(folder.path(name)).expect(name), draws(), "{name}");
    }
    write_draws(folder.path("draws.npy"), &draws()).expect("written");
    let back = read_draws(folder.path("draws.npy")).expect("read");
    assert_eq!(
        (back.values(), &back.names()[..]),
        (draws().values(), &["theta_1".to_owned(), "theta_2".to_owned()][..])
    );
    let text = fs::read_to_string(folder.path("draws.csv")).expect("text");
    assert!(text.starts_with("data_set,draw,b,\"a, c\"\n0,0,0.1,1.1\n"), "{text}");
}

#[test]
fn netcdf_has_a_variable_for_each_parameter_in_the_group_of_posteriors() {
    let folder = Folder::new();
    write_draws(folder.path("draws.nc"), &draws()).expect("written");
    let file = NcFile::open(folder.path("draws.nc")).expect("NetCDF");
    let values = file.read_variable::<f32>("posterior/a, c").expect("a variable");
    assert_eq!(values.shape(), [1, 3, 2]);
    assert_eq!(values.iter().copied().collect::<Vec<_>>(), [1.1, 101.1, 11.1, 111.1, 21.1, 121.1]);
    let one = Draws::new(names(&["b"]), array![[[1.0], [2.0]]]).expect("one name");
    write_draws(folder.path("one.nc"), &one).expect("written");
    let file = NcFile::open(folder.path("one.nc")).expect("NetCDF");
    assert_eq!(file.read_variable::<f32>("posterior/b").expect("a variable").shape(), [1, 2]);
    let taken = Draws::new(names(&["draw"]), array![[[1.0]]]).expect("one name");
    for name in ["taken.nc", "taken.csv"] {
        says(&write_draws(folder.path(name), &taken).expect_err("a dimension's name"), &["`draw`", "use .npz"]);
        assert!(!folder.path(name).exists());
    }
    write_draws(folder.path("taken.npz"), &taken).expect("written");
    assert_eq!(read_draws(folder.path("taken.npz")).expect("read"), taken);
}

fn same_from<T: WritableElement + From<u8> + Clone>(folder: &Folder) {
    let path = folder.path("numbers.npy");
    write_npy(&path, &Array2::<u8>::from_shape_fn((2, 3), |(i, j)| (i + j) as u8).mapv(T::from)).expect("written");
    let expected = Array2::from_shape_fn((2, 3), |(i, j)| (i + j) as f32).into_dyn();
    assert_eq!(read_array(&path).expect("read"), expected, "{}", std::any::type_name::<T>());
}

#[test]
fn numbers_of_all_types_are_read() {
    let folder = Folder::new();
    same_from::<f32>(&folder);
    same_from::<f64>(&folder);
    same_from::<i16>(&folder);
    same_from::<i32>(&folder);
    same_from::<i64>(&folder);
    same_from::<u8>(&folder);
    same_from::<u16>(&folder);
    same_from::<u32>(&folder);
    same_from::<u64>(&folder);
    write_npy(folder.path("b.npy"), &array![true, false]).expect("written");
    assert_eq!(read_array(folder.path("b.npy")).expect("read"), array![1.0, 0.0].into_dyn());
    // Big-endian, by hand.
    let mut big = b"\x93NUMPY\x01\x00\x46\x00{'descr': '>f4', 'fortran_order': False, 'shape': (1,)}".to_vec();
    big.resize(10 + 0x46 - 1, b' ');
    big.push(b'\n');
    big.extend(2.5_f32.to_be_bytes());
    assert_eq!(read_array(folder.text("big.npy", big)).expect("read"), array![2.5].into_dyn());
    // NumPy's own order of a transposed array.
    let transposed = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]].reversed_axes();
    write_npy(folder.path("fortran.npy"), &transposed).expect("written");
    assert_eq!(read_array(folder.path("fortran.npy")).expect("read"), transposed.into_dyn());
}

#[test]
fn data_of_every_kind_are_read_alike() {
    let folder = Folder::new();
    let data = array![[1.0_f32, 2.5], [3.0, -4.0]];
    write_npy(folder.path("single.npy"), &data).expect("written");
    write_npy(folder.path("many.npy"), &data.clone().insert_axis(Axis(0))).expect("written");
    let arrays = [("x".to_owned(), data.clone().into_dyn()), ("y".to_owned(), ArrayD::zeros(vec![3]))];
    write_arrays(folder.path("one.npz"), &arrays[..1]).expect("written");
    write_arrays(folder.path("two.npz"), &arrays).expect("written");
    write_arrays(folder.path("two.safetensors"), &arrays).expect("written");
    folder.text("a.csv", "1, 2.5\n3,-4.0\n");
    folder.text("heading.csv", "# a comment\nx,y\n1,2.5\n3,-4\n");
    let all = ["single.npy", "many.npy", "one.npz", "two.npz:x", "two.safetensors:x", "a.csv", "heading.csv"];
    for name in all {
        assert_eq!(read_observations(folder.path(name)).expect(name), data.clone().insert_axis(Axis(0)), "{name}");
    }
    // An array is chosen whatever is beside it.
    let mut archive = zip::ZipWriter::new(File::create(folder.path("words.npz")).expect("writable"));
    for (name, content) in
        [("x.npy", fs::read(folder.path("single.npy")).expect("written")), ("words.npy", b"?".to_vec())]
    {
        archive.start_file(name, zip::write::SimpleFileOptions::default()).expect("writable");
        std::io::Write::write_all(&mut archive, &content).expect("writable");
    }
    archive.finish().expect("writable");
    read_observations(folder.path("words.npz:x")).expect("chosen");
    says(&read_observations(folder.path("words.npz")).expect_err("words"), &["array `words`"]);
    says(&read_observations(folder.path("two.npz")).expect_err("two"), &["two.npz:x", "\"y\""]);
    says(&read_observations(folder.path("two.npz:z")).expect_err("none"), &["`z`", "[\"x\", \"y\"]"]);
    says(&read_observations(folder.path("two.npz:y")).expect_err("a vector"), &["[3]", "[N, F]"]);
}

#[test]
fn truths_are_put_into_the_order_of_draws() {
    let folder = Folder::new();
    write_draws(folder.path("draws.npz"), &draws()).expect("written");
    write_draws(folder.path("draws.npy"), &draws()).expect("written");
    let swapped = folder.text("truths.csv", "\"a, c\",b\n1,2\n3,4\n");
    let (same, truths) = read_draws_and_truths(folder.path("draws.npz"), &swapped).expect("read");
    assert_eq!((same, truths), (draws(), array![[2.0, 1.0], [4.0, 3.0]]));
    // Of two files one has names.
    let (renamed, truths) = read_draws_and_truths(folder.path("draws.npy"), &swapped).expect("read");
    assert_eq!((&renamed.names()[..], truths), (&names(&["a, c", "b"])[..], array![[1.0, 2.0], [3.0, 4.0]]));
    let mut archive = NpzWriter::new(File::create(folder.path("truths.npz")).expect("writable"));
    archive.add_array("a, c", &array![1.0, 3.0]).expect("written");
    archive.add_array("b", &array![2_i64, 4]).expect("written");
    archive.finish().expect("written");
    let truths = read_parameters(folder.path("truths.npz"), draws().names()).expect("read");
    assert_eq!(truths, array![[2.0, 1.0], [4.0, 3.0]]);
    write_npy(folder.path("truths.npy"), &array![7.0, 8.0]).expect("written");
    assert_eq!(read_parameters(folder.path("truths.npy"), draws().names()).expect("read"), array![[7.0, 8.0]]);

    // The order of a safetensors file of another program is that of the alphabet, and says nothing.
    let tensor = |value: f32| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], Box::leak(Box::new(value.to_le_bytes())))
    };
    let tensors = [("mu", tensor(1.0).expect("one number")), ("a", tensor(2.0).expect("one number"))];
    let foreign = folder.text("foreign.safetensors", safetensors::serialize(tensors, None).expect("a file"));
    write_npy(folder.path("one.npy"), &array![[[1.0_f32, 2.0]]]).expect("written");
    says(&read_draws_and_truths(folder.path("one.npy"), &foreign).expect_err("no order"), &["foreign", "no order"]);
    assert_eq!(read_parameters(&foreign, &names(&["mu", "a"])).expect("read"), array![[1.0, 2.0]]);

    let other = folder.text("other.csv", "b,c\n1,2\n");
    says(&read_draws_and_truths(folder.path("draws.npz"), &other).expect_err("other names"), &["\"c\"", "\"a, c\""]);
    let three = folder.text("three.csv", "1,2,3\n");
    says(&read_parameters(&three, draws().names()).expect_err("three"), &["3 parameters", "[\"b\", \"a, c\"]"]);
}

#[test]
fn tables_of_other_tools_are_draws() {
    let folder = Folder::new();
    let table = folder.text("chains.csv", "chain,draw,mu\n0,0,1\n0,1,2\n1,0,3\n1,1,4\n");
    let draws = read_draws(table).expect("read");
    assert_eq!(draws.values(), array![[[1.0], [2.0], [3.0], [4.0]]]);
    assert_eq!(draws.names()[0], "mu");
    let table = folder.text("uneven.csv", "data_set,mu\n0,1\n0,2\n1,3\n");
    says(&read_draws(table).expect_err("uneven"), &["1 draws of data set 1", "2 of 0"]);
    // Data sets in the order of their numbers, wherever their rows are.
    let table = folder.text("mixed.csv", "data_set,mu\n10,5\n2,3\n10,6\n2,4\n");
    assert_eq!(read_draws(&table).expect("read").values(), array![[[3.0], [4.0]], [[5.0], [6.0]]]);
    let truths = folder.text("truths.csv", "data_set,mu\n10,1\n2,0\n");
    assert_eq!(read_draws_and_truths(&table, &truths).expect("read").1, array![[0.0], [1.0]]);
    let others = folder.text("others.csv", "data_set,mu\n2,0\n11,1\n");
    says(&read_draws_and_truths(&table, &others).expect_err("others"), &["others.csv", "have 10, it has 11"]);
    let half = folder.text("half.csv", "data_set,mu\n0.5,1\n");
    says(&read_draws(half).expect_err("no number"), &["`data_set` is 0.5"]);
    let mut archive = NpzWriter::new(File::create(folder.path("uneven.npz")).expect("writable"));
    archive.add_array("a", &array![1.0, 3.0]).expect("written");
    archive.add_array("b", &array![2.0]).expect("written");
    archive.finish().expect("written");
    says(&read_draws(folder.path("uneven.npz")).expect_err("uneven"), &["[1, 2], [1, 1]", "as many values"]);
}

/// No heading is a formula, and every name comes back.
#[test]
fn headings_of_tables_are_no_formulas() {
    let folder = Folder::new();
    let all = ["=1+1", "-x", "+y", "@SUM(A1)", "'=z", "''-w", "'quoted'", "a-b"];
    let values = Array3::from_shape_fn((2, 3, 8), |(i, j, k)| (100 * i + 10 * j + k) as f32 - 5.0);
    let draws = Draws::new(names(&all), values.clone()).expect("8 names");
    let path = folder.path("draws.csv");
    write_draws(&path, &draws).expect("written");
    let text = fs::read_to_string(&path).expect("written");
    let heading = text.lines().next().expect("a heading");
    assert_eq!(heading, "data_set,draw,'=1+1,'-x,'+y,'@SUM(A1),''=z,'''-w,'quoted',a-b");
    assert_eq!(read_draws(&path).expect("readable"), draws);

    // Known names are found, in the order of the caller.
    let turned: Vec<&str> = all.into_iter().rev().collect();
    let options = TableOptions::new().with_columns(turned.clone());
    let read = bayesburn_io::read_draws(&path, &options).expect("readable").value;
    assert_eq!((&read.names()[..], read.values()), (&names(&turned)[..], values.slice(ndarray::s![.., .., ..;-1])));
    // Files of before, and of other programs, have no apostrophe.
    let plain = folder.text("plain.csv", "=1+1,-x\n1,2\n");
    assert_eq!(read_parameters(&plain, &names(&["-x", "=1+1"])).expect("readable"), array![[2.0, 1.0]]);

    let path = folder.path("values.csv");
    write_values(&path, "=1+1", &array![0.5]).expect("written");
    assert!(fs::read_to_string(&path).expect("written").starts_with("row,'=1+1\n"));
    assert_eq!(read_values(&path).expect("readable"), array![0.5]);
    for (path, is_supported) in [("q.npy", true), ("q.CSV", true), ("q.txt", false), ("q", false), ("q.npz", false)] {
        assert_eq!(bayesburn_io::check_values_path(path).is_ok(), is_supported, "{path}");
    }
}

#[test]
fn values_are_written_with_their_name() {
    let folder = Folder::new();
    let values = array![1.5, f32::NEG_INFINITY];
    write_values(folder.path("a.csv"), "log_prob", &values).expect("written");
    let text = fs::read_to_string(folder.path("a.csv")).expect("text");
    assert_eq!(text, "row,log_prob\n0,1.5\n1,-inf\n");
    assert_eq!(read_values(folder.path("a.csv")).expect("read"), values);
    write_values(folder.path("a.npy"), "log_prob", &values).expect("written");
    assert_eq!(read_values(folder.path("a.npy")).expect("read"), values);
    says(&read_values(folder.text("two.csv", "a,b\n1,2\n")).expect_err("two"), &["[\"a\", \"b\"]", "one column"]);
    assert_eq!(read_npy::<_, Array1<f32>>(folder.path("a.npy")).expect("read"), values);
    says(&write_values(folder.path("a.txt"), "x", &values).expect_err("no format"), &["a.txt", ".npy or .csv"]);
}

#[test]
fn files_that_are_not_what_they_are_called_are_named() {
    let folder = Folder::new();
    let refused = |name: &str, content: &[u8]| {
        let error = read_array(folder.text(name, content)).expect_err(name);
        says(&error, &[name]);
        error
    };
    says(&refused("a.csv", b"x\n1\nb\n"), &["line 3, column 1: `b` is no number"]);
    says(&refused("ragged.csv", b"1,2\n3\n"), &["line 1 has 2 cells", "1:"]);
    says(&refused("wide.csv", b"13,4,4\n4\n"), &["line 1 has 3 cells", "1:"]);
    says(&refused("empty.csv", b"x,y\n"), &["no row of numbers"]);
    says(&refused("large.csv", b"1e300\n"), &["too large for f32"]);
    says(&refused("a.txt", b"1"), &[".npy, .npz, .csv or .safetensors"]);
    says(&refused("a.npy", b"not an array"), &["numpy.save"]);
    says(&refused("a.npz", b"not an archive"), &["numpy.savez"]);
    refused("a.safetensors", b"not tensors");
    says(&read_array(folder.path("none.npy")).expect_err("no file"), &["cannot read", "none.npy"]);
    // A header that promises more than there is, or than there can be.
    for shape in ["(3,)", "(9223372036854775807,)", "(1000000000000,)", "(4611686018427387904, 4)"] {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend([0; 8]);
        refused("promise.npy", &file);
    }
    write_npy(folder.path("huge.npy"), &array![1e300_f64]).expect("written");
    says(&read_array(folder.path("huge.npy")).expect_err("too large"), &["too large for f32"]);
}
