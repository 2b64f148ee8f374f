//! Reads arrays that other programs wrote, in all formats and element types.

use crate::folder;
use bayesburn_simulation::{DataError, Dataset, load_simulations};
use half::{bf16, f16};
use ndarray::{Array, Array2, Array3, ArrayD, ShapeBuilder};
use ndarray_npy::{NpzWriter, WritableElement, write_npy};
use safetensors::{Dtype, tensor::TensorView};
use std::{
    collections::HashMap,
    fs::{self, File},
    path::Path,
};

/// Values that every type but bool has: 0 to 9 for parameters `[5, 2]`, 0 to 59 for data `[5, 4, 3]`.
fn values() -> (Array2<f32>, Array3<f32>) {
    let count = |n: usize| Array::from_iter((0..n).map(|i| i as f32));
    (
        count(10).into_shape_with_order((5, 2)).expect("10 values"),
        count(60).into_shape_with_order((5, 4, 3)).expect("60 values"),
    )
}

fn assert_values(data: &Dataset) {
    let (parameters, sim_data) = values();
    assert_eq!(data.len(), 5);
    assert_eq!(data.parameter_names()[..], ["theta_1", "theta_2"]);
    let rows = [4, 0, 2];
    let batch = data.select(&rows).expect("there");
    assert_eq!(batch.parameters, parameters.select(ndarray::Axis(0), &rows));
    assert_eq!(batch.data.values(), sim_data.select(ndarray::Axis(0), &rows).into_dyn());
}

fn npy<T: WritableElement + Copy>(folder: &Path, of: impl Fn(f32) -> T) {
    let (parameters, sim_data) = values();
    write_npy(folder.join("parameters.npy"), &parameters.mapv(&of)).expect("writable");
    write_npy(folder.join("sim_data.npy"), &sim_data.mapv(of)).expect("writable");
}

fn npz<T: WritableElement + Copy>(path: &Path, compressed: bool, of: impl Fn(f32) -> T) {
    let (parameters, sim_data) = values();
    let file = File::create(path).expect("writable");
    let mut npz = if compressed { NpzWriter::new_compressed(file) } else { NpzWriter::new(file) };
    npz.add_array("prior_draws", &parameters.mapv(&of)).expect("writable");
    npz.add_array("x", &sim_data.mapv(of)).expect("writable");
    npz.finish().expect("writable");
}

/// A `.safetensors` file of these arrays.
fn safetensors(path: &Path, metadata: Option<&str>, arrays: &[(&str, Dtype, &[usize], Vec<u8>)]) {
    let views = arrays.iter().map(|(name, dtype, shape, bytes)| {
        (*name, TensorView::new(*dtype, shape.to_vec(), bytes).expect("as many bytes as the shape has"))
    });
    let metadata = metadata.map(|names| {
        HashMap::from([("format".to_owned(), "pt".to_owned()), ("parameter_names".to_owned(), names.to_owned())])
    });
    safetensors::serialize_to_file(views, metadata, path).expect("writable");
}

fn bytes<const N: usize>(values: &ArrayD<f32>, of: impl Fn(f32) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&v| of(v)).collect()
}

#[test]
fn npy_files_of_every_type_are_read() {
    macro_rules! check {
        ($($element:ty),*) => {
            $({
                let folder = folder();
                npy(folder.path(), |v| v as $element);
                fs::write(folder.path().join("readme.txt"), "not looked at").expect("writable");
                assert_values(&Dataset::open(folder.path()).expect(stringify!($element)));
            })*
        };
    }
    check!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64);
}

#[test]
fn npz_files_of_every_type_are_read_compressed_or_not() {
    let folder = folder();
    let path = folder.path().join("data.npz");
    macro_rules! check {
        ($($element:ty),*) => {
            $(for compressed in [false, true] {
                npz(&path, compressed, |v| v as $element);
                assert_values(&Dataset::open(&path).expect(stringify!($element)));
            })*
        };
    }
    check!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64);
}

#[test]
fn safetensors_files_of_every_type_are_read() {
    let folder = folder();
    let path = folder.path().join("data.safetensors");
    let (parameters, sim_data) = (values().0.into_dyn(), values().1.into_dyn());
    macro_rules! check {
        ($($dtype:ident => $of:expr),* $(,)?) => {
            $(safetensors(&path, None, &[
                ("theta", Dtype::$dtype, &[5, 2], bytes(&parameters, $of)),
                ("sim_data", Dtype::$dtype, &[5, 4, 3], bytes(&sim_data, $of)),
            ]);
            assert_values(&Dataset::open(&path).expect(stringify!($dtype)));)*
        };
    }
    check!(
        F32 => f32::to_le_bytes,
        F64 => |v| f64::from(v).to_le_bytes(),
        F16 => |v| f16::from_f32(v).to_le_bytes(),
        BF16 => |v| bf16::from_f32(v).to_le_bytes(),
        I8 => |v| (v as i8).to_le_bytes(),
        I16 => |v| (v as i16).to_le_bytes(),
        I32 => |v| (v as i32).to_le_bytes(),
        I64 => |v| (v as i64).to_le_bytes(),
        U8 => |v| (v as u8).to_le_bytes(),
        U16 => |v| (v as u16).to_le_bytes(),
        U32 => |v| (v as u32).to_le_bytes(),
        U64 => |v| (v as u64).to_le_bytes(),
    );
}

/// Arrays that do not begin at a multiple of their element's size: 1 byte of mask-like data before 8-byte elements.
#[test]
fn arrays_may_begin_at_any_byte() {
    let folder = folder();
    let path = folder.path().join("data.safetensors");
    // By hand, since the crate sorts arrays by alignment.
    let header = concat!(
        r#"{"x":{"dtype":"U8","shape":[1,1],"data_offsets":[0,1]},"#,
        r#""theta":{"dtype":"F64","shape":[1,1],"data_offsets":[1,9]}}"#
    );
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[3], &0.5f64.to_le_bytes()].concat();
    fs::write(&path, file).expect("writable");
    let batch = Dataset::open(&path).expect("sound").select(&[0]).expect("there");
    assert_eq!((batch.data.values()[[0, 0]], batch.parameters[[0, 0]]), (3.0, 0.5));
}

#[test]
fn fortran_order_bool_contexts_and_masks_are_read() {
    let folder = folder();
    let (parameters, sim_data) = values();
    let mut fortran = Array2::<f64>::zeros((5, 2).f());
    fortran.assign(&parameters.mapv(f64::from));
    write_npy(folder.path().join("theta.npy"), &fortran).expect("writable");
    let mut fortran = Array3::<i16>::zeros((5, 4, 3).f());
    fortran.assign(&sim_data.mapv(|v| v as i16));
    write_npy(folder.path().join("x.npy"), &fortran).expect("writable");
    let header = fs::read(folder.path().join("x.npy")).expect("a file");
    assert!(String::from_utf8_lossy(&header[..80]).contains("'fortran_order': True"), "the test writes what it says");
    assert_values(&Dataset::open(folder.path()).expect("sound"));

    let mask = sim_data.mapv(|v| v % 2.0 == 0.0);
    write_npy(folder.path().join("sim_data_mask.npy"), &mask).expect("writable");
    write_npy(folder.path().join("sim_non_batchable_context.npy"), &Array::from_vec(vec![4i64])).expect("writable");
    write_npy(folder.path().join("prior_batchable_context.npy"), &Array::from_vec(vec![1u8, 2, 3, 4, 5]))
        .expect("writable");
    let batch = Dataset::open(folder.path()).expect("sound").select(&[3]).expect("there");
    assert_eq!(batch.data.value_mask().expect("there")[[0, 1, 0]], 0.0); // 39 is odd
    assert_eq!(batch.sim_non_batchable_context.expect("there")[[0]], 4.0);
    assert_eq!(batch.prior_batchable_context.expect("there")[[0]], 4.0);
}

/// Headers as NumPy writes them for types that ndarray-npy does not write.
#[test]
fn half_precision_and_big_endian_npy_are_read_and_other_types_refused() {
    let write = |path: &Path, descriptor: &str, shape: &str, data: &[u8]| {
        let mut header = format!("{{'descr': '{descriptor}', 'fortran_order': False, 'shape': {shape}, }}");
        header += &" ".repeat((64 - (10 + header.len() + 1) % 64) % 64);
        header.push('\n');
        let length = (header.len() as u16).to_le_bytes();
        fs::write(path, [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), data].concat()).expect("writable");
    };
    let folder = folder();
    npy(folder.path(), |v| v);
    let path = folder.path().join("sim_data.npy");
    let halves = bytes(&values().1.into_dyn(), |v| f16::from_f32(v).to_le_bytes());
    write(&path, "<f2", "(5, 4, 3)", &halves);
    assert_values(&Dataset::open(folder.path()).expect("sound"));
    let big_endian = bytes(&values().1.into_dyn(), |v| v.to_be_bytes());
    write(&path, ">f4", "(5, 4, 3)", &big_endian);
    assert_values(&Dataset::open(folder.path()).expect("sound"));
    for descriptor in ["|O", "<c8", "<U4"] {
        write(&path, descriptor, "(5, 4, 3)", &[0; 480]);
        match Dataset::open(folder.path()) {
            Err(DataError::ElementType { name, got, .. }) => assert_eq!((&*name, &*got), ("sim_data", descriptor)),
            other => panic!("{other:?}"),
        }
    }
    for (shape, bytes) in [("(5, 4, 3)", 239), ("(5, 4, 3)", 241), ("(5, 4, 1099511627776, 1099511627776)", 240)] {
        write(&path, "<f4", shape, &vec![0; bytes]);
        assert!(matches!(Dataset::open(folder.path()), Err(DataError::Damaged { .. })), "{shape}, {bytes} bytes");
    }
    fs::write(&path, "no header").expect("writable");
    assert!(matches!(Dataset::open(folder.path()), Err(DataError::Damaged { .. })));
}

#[test]
fn types_that_have_no_meaning_are_refused() {
    let folder = folder();
    let path = folder.path().join("data.safetensors");
    let x = ("x", Dtype::U8, &[1usize, 1][..], vec![0]);
    safetensors(&path, None, &[("theta", Dtype::C64, &[1, 1], vec![0; 8]), x]);
    match Dataset::open(&path) {
        Err(DataError::ElementType { name, got, .. }) => assert_eq!((&*name, &*got), ("theta", "C64")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_come_from_the_metadata_or_the_caller() {
    let folder = folder();
    let path = folder.path().join("data.safetensors");
    let (parameters, sim_data) = (values().0.into_dyn(), values().1.into_dyn());
    let write = |metadata| {
        let theta = ("theta", Dtype::F32, &[5usize, 2][..], bytes(&parameters, f32::to_le_bytes));
        let x = ("x", Dtype::F32, &[5usize, 4, 3][..], bytes(&sim_data, f32::to_le_bytes));
        safetensors(&path, metadata, &[theta, x]);
        Dataset::open(&path)
    };
    let data = write(Some(r#"["mu", "σ"]"#)).expect("two names");
    assert_eq!(data.parameter_names()[..], ["mu", "σ"]);
    assert_eq!(load_simulations(&path).expect("sound").parameter_names[..], ["mu", "σ"]);
    let renamed = data.clone().with_parameter_names(["a", "b"]).expect("two names");
    assert_eq!(renamed.select(&[0]).expect("there").parameter_names[..], ["a", "b"]);
    assert!(matches!(data.clone().with_parameter_names(["a"]), Err(DataError::Names { expected: 2, got: 1, .. })));
    assert!(matches!(data.with_parameter_names(["a", "a"]), Err(DataError::DuplicateName { .. })));
    assert!(matches!(write(Some(r#"["mu"]"#)), Err(DataError::Names { expected: 2, got: 1, .. })));
    assert!(matches!(write(Some("mu, sigma")), Err(DataError::Damaged { .. })));
    assert_eq!(write(None).expect("sound").parameter_names()[..], ["theta_1", "theta_2"]);
    assert_eq!(load_simulations(&path).expect("sound").parameter_names[..], ["theta_1", "theta_2"]);
}

/// As many programs store what is one number for each simulation.
#[test]
fn an_array_of_one_axis_is_one_number_for_each_simulation() {
    let (folder, values) = (folder(), Array::from_iter((0..5).map(|i| i as f32)));
    let open = |arrays: &[(&str, &ArrayD<f32>)]| {
        let path = folder.path().join("pairs.npz");
        let mut npz = NpzWriter::new(File::create(&path).expect("writable"));
        arrays.iter().for_each(|(name, array)| npz.add_array(*name, *array).expect("writable"));
        npz.finish().expect("writable");
        Dataset::open(path).expect("pairs").select(&[3, 1]).expect("there")
    };
    let flat = values.clone().into_dyn();
    let column = values.insert_axis(ndarray::Axis(1)).into_dyn();
    let expected = open(&[("theta", &column), ("x", &column)]);
    assert_eq!(expected.data.values(), ndarray::array![[3.0], [1.0]].into_dyn());
    for (theta, x) in [(&column, &flat), (&flat, &column), (&flat, &flat)] {
        assert_eq!(open(&[("theta", theta), ("x", x)]), expected);
    }
    let mask = flat.mapv(|value| if value > 1.0 { 1.0 } else { 0.0 });
    let masked = open(&[("theta", &column), ("x", &flat), ("sim_data_mask", &mask)]);
    assert_eq!(masked.data.value_mask(), Some(&ndarray::array![[1.0], [0.0]].into_dyn()));
}

#[test]
fn arrays_that_are_missing_unknown_twice_or_do_not_fit_are_refused() {
    let open = |arrays: &[(&str, &[usize])]| {
        let folder = folder();
        for (name, shape) in arrays {
            write_npy(folder.path().join(format!("{name}.npy")), &ArrayD::<f32>::zeros(shape.to_vec()))
                .expect("writable");
        }
        Dataset::open(folder.path()).expect_err("it is refused")
    };
    let (theta, x) = (("theta", &[5, 2][..]), ("x", &[5, 4, 3][..]));
    assert!(matches!(open(&[theta]), DataError::MissingArray { name: "sim_data", .. }));
    assert!(matches!(open(&[x]), DataError::MissingArray { name: "parameters", .. }));
    let unknown = open(&[theta, x, ("sim_context", &[5])]).to_string();
    assert!(unknown.contains("`sim_context`") && unknown.contains("sim_batchable_context"), "{unknown}");
    assert!(matches!(open(&[theta, x, ("parameters", &[5, 2])]), DataError::DuplicateArray { name: "parameters", .. }));
    assert!(matches!(open(&[theta, ("x", &[4, 4, 3])]), DataError::Rows { name: "sim_data", expected: 5, got: 4, .. }));
    let context = ("sim_batchable_context", &[6usize, 1][..]);
    assert!(matches!(open(&[theta, x, context]), DataError::Rows { name: "sim_batchable_context", got: 6, .. }));
    assert!(matches!(open(&[("theta", &[5, 2, 1]), x]), DataError::Axes { name: "parameters", .. }));
    assert!(matches!(open(&[theta, ("x", &[4])]), DataError::Rows { name: "sim_data", expected: 5, got: 4, .. }));
    assert!(matches!(open(&[theta, ("x", &[5, 0])]), DataError::Axes { name: "sim_data", .. }));
    assert!(matches!(open(&[theta, ("x", &[])]), DataError::Axes { name: "sim_data", .. }));
    let mask = ("sim_data_mask", &[5usize, 4][..]);
    assert!(matches!(open(&[theta, x, mask]), DataError::Axes { name: "sim_data_mask", .. }));
    assert!(matches!(open(&[("theta", &[0, 2]), ("x", &[0, 4])]), DataError::NoRows { .. }));
}
