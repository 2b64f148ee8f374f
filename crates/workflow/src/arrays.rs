//! Reads observed data from files, and writes draws to them.

use crate::WorkflowError;
use bayesburn_core::{Draws, files::write_atomically};
use ndarray::{Array2, Array3, ArrayD, Axis, Ix3};
use ndarray_npy::{ReadNpyError, WriteNpyExt, read_npy};
use std::{
    fs::File,
    io::{self, BufReader, Write},
    path::Path,
};

/// Data sets `[M, N, F]` of a file, `.npy` or `.csv`.
pub(crate) fn read_observations(path: &Path) -> Result<Array3<f32>, WorkflowError> {
    let wrong = |reason: String| WorkflowError::Observations { path: path.into(), reason };
    let array: ArrayD<f32> = match extension(path).as_deref() {
        Some("npy") => {
            let single = read_npy(path);
            match single {
                // NumPy's own numbers are f64.
                Err(ReadNpyError::WrongDescriptor(_)) => {
                    let double: ArrayD<f64> = read_npy(path).map_err(|error| not_read(path, error))?;
                    double.mapv(|value| value as f32)
                }
                other => other.map_err(|error| not_read(path, error))?,
            }
        }
        Some("csv") => read_csv(path)?.into_dyn(),
        _ => return Err(wrong("end the path of observed data in .npy or .csv".to_owned())),
    };
    let shape = array.shape().to_vec();
    let array = if array.ndim() == 2 { array.insert_axis(Axis(0)) } else { array };
    array.into_dimensionality::<Ix3>().map_err(|_| {
        wrong(format!("an array of shape {shape:?}: give [N, F] for one data set, or [M, N, F] for M of them"))
    })
}

fn not_read(path: &Path, error: ReadNpyError) -> WorkflowError {
    match error {
        ReadNpyError::Io(source) => WorkflowError::Io { action: "read", path: path.into(), source },
        other => WorkflowError::Observations {
            path: path.into(),
            reason: format!("{other}: write numbers with numpy.save, as float32 or float64"),
        },
    }
}

/// `[N, F]`: one observation in each row. A first row that holds no number is a heading.
fn read_csv(path: &Path) -> Result<Array2<f32>, WorkflowError> {
    let wrong = |reason: String| WorkflowError::Observations { path: path.into(), reason };
    let file = File::open(path).map_err(|source| WorkflowError::Io { action: "read", path: path.into(), source })?;
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(BufReader::new(file));
    let (mut values, mut width) = (Vec::new(), 0);
    for (number, record) in reader.records().enumerate() {
        let record = record.map_err(|error| wrong(error.to_string()))?;
        let row: Vec<Option<f32>> = record.iter().map(|field| field.parse().ok()).collect();
        if number == 0 && row.iter().all(Option::is_none) {
            continue;
        }
        if let Some(column) = row.iter().position(Option::is_none) {
            let field = &record[column];
            return Err(wrong(format!("line {}, column {}: `{field}` is no number", number + 1, column + 1)));
        }
        width = row.len();
        values.extend(row.into_iter().flatten());
    }
    if values.is_empty() {
        return Err(wrong("no row of numbers: give one for each observation".to_owned()));
    }
    let rows = values.len() / width;
    Array2::from_shape_vec((rows, width), values).map_err(|error| wrong(error.to_string()))
}

/// Whether [`write_draws`] has a format for the path.
pub(crate) fn can_write(path: &Path) -> bool {
    matches!(extension(path).as_deref(), Some("npy" | "csv"))
}

/// Writes draws as CSV, or as `.npy`.
pub(crate) fn write_draws(path: &Path, draws: &Draws) -> Result<(), WorkflowError> {
    if !can_write(path) {
        return Err(WorkflowError::Usage { reason: format!("--out {}: end the path in .npy or .csv", path.display()) });
    }
    let failed = |source| WorkflowError::Io { action: "write", path: path.into(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let is_csv = extension(path).as_deref() == Some("csv");
    write_atomically(path, |file| match is_csv {
        true => write_csv(file, draws).map_err(io::Error::other),
        false => draws.values().write_npy(file).map_err(io::Error::other),
    })
    .map_err(failed)
}

fn write_csv(file: impl Write, draws: &Draws) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(file);
    let heading = ["data_set", "draw"].map(str::to_owned);
    writer.write_record(heading.iter().chain(draws.names().iter()))?;
    for (data_set, draws) in draws.values().outer_iter().enumerate() {
        for (draw, theta) in draws.outer_iter().enumerate() {
            let start = [data_set.to_string(), draw.to_string()];
            writer.write_record(start.into_iter().chain(theta.iter().map(f32::to_string)))?;
        }
    }
    Ok(writer.flush()?)
}

fn extension(path: &Path) -> Option<String> {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};
    use ndarray_npy::write_npy;

    #[test]
    fn data_of_every_kind_are_read_alike() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let data = array![[1.0_f32, 2.5], [3.0, -4.0]];
        write_npy(path("single.npy"), &data).expect("written");
        write_npy(path("double.npy"), &data.mapv(f64::from)).expect("written");
        write_npy(path("many.npy"), &data.clone().insert_axis(Axis(0))).expect("written");
        std::fs::write(path("a.csv"), "1, 2.5\n3,-4.0\n").expect("written");
        std::fs::write(path("heading.csv"), "x,y\n1,2.5\n3,-4\n").expect("written");
        for name in ["single.npy", "double.npy", "many.npy", "a.csv", "heading.csv"] {
            assert_eq!(read_observations(&path(name)).expect(name), data.clone().insert_axis(Axis(0)), "{name}");
        }
    }

    #[test]
    fn files_that_hold_no_data_are_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).expect("written");
            let error = read_observations(&path).expect_err(name).to_string();
            assert!(error.contains(name), "{error}");
            error
        };
        assert!(refused("a.csv", "x\n1\nb\n").contains("line 3, column 1: `b` is no number"));
        assert!(refused("ragged.csv", "1,2\n3\n").contains("record"));
        assert!(refused("empty.csv", "x,y\n").contains("no row of numbers"));
        assert!(refused("a.txt", "1").contains(".npy or .csv"));
        assert!(refused("a.npy", "not an array").contains("numpy.save"));
        let flat = folder.path().join("flat.npy");
        write_npy(&flat, &Array1::<f32>::zeros(3)).expect("written");
        assert!(read_observations(&flat).expect_err("flat").to_string().contains("[N, F]"));
        write_npy(&flat, &Array1::<i32>::zeros(3)).expect("written");
        assert!(read_observations(&flat).expect_err("integers").to_string().contains("float32"));
        let none = read_observations(&folder.path().join("none.npy")).expect_err("no file").to_string();
        assert!(none.contains("cannot read"), "{none}");
    }

    #[test]
    fn draws_are_written_with_their_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = ["a".to_owned(), "b, c".to_owned()].into();
        let draws = Draws::new(names, array![[[1.0, 2.0], [3.0, 4.5]]]).expect("two names");
        write_draws(&folder.path().join("new/draws.csv"), &draws).expect("written");
        let text = std::fs::read_to_string(folder.path().join("new/draws.csv")).expect("readable");
        assert_eq!(text, "data_set,draw,a,\"b, c\"\n0,0,1,2\n0,1,3,4.5\n");
        write_draws(&folder.path().join("draws.npy"), &draws).expect("written");
        let back: Array3<f32> = read_npy(folder.path().join("draws.npy")).expect("readable");
        assert_eq!(back, draws.values());
        assert!(write_draws(&folder.path().join("draws.txt"), &draws).is_err());
    }
}
