//! Reads NumPy's files, `.npy` and `.npz`, with arrays of any numeric type.

use crate::Element;
use ndarray::{ArrayD, ShapeBuilder};
use std::io::{Cursor, Read};
use thiserror::Error;
use zip::ZipArchive;

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy writes headers of some hundred bytes, and refuses to read longer ones than 10,000.
const LONGEST_HEADER: usize = 1 << 16;

/// An error of a NumPy array.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NpyError {
    /// The file is not in NumPy's format, or damaged.
    #[error("{0}")]
    Damaged(String),
    /// Its element type is not supported.
    #[error("its elements are of the type `{0}`: write numbers, as float32 for one")]
    ElementType(String),
}

fn damaged(reason: impl ToString) -> NpyError {
    NpyError::Damaged(reason.to_string())
}

/// The header of a `.npy` file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NpyHeader {
    /// The type of the elements.
    pub element: Element,
    /// Whether the elements are big-endian.
    pub is_big_endian: bool,
    /// Whether the first index changes fastest.
    pub is_fortran: bool,
    /// The shape.
    pub shape: Vec<usize>,
}

impl NpyHeader {
    /// Reads the header, and leaves `reader` where the elements begin.
    ///
    /// # Errors
    /// No such header; elements that are not numbers.
    pub fn read(reader: &mut impl Read) -> Result<Self, NpyError> {
        let not_npy = |_| damaged("no array of NumPy: write one with numpy.save");
        let mut start = [0; 8];
        reader.read_exact(&mut start).map_err(not_npy)?;
        if !start.starts_with(MAGIC) {
            return Err(damaged("no array of NumPy: write one with numpy.save"));
        }
        let len = match start[6] {
            1 => {
                let mut len = [0; 2];
                reader.read_exact(&mut len).map_err(not_npy)?;
                usize::from(u16::from_le_bytes(len))
            }
            2 | 3 => {
                let mut len = [0; 4];
                reader.read_exact(&mut len).map_err(not_npy)?;
                u32::from_le_bytes(len) as usize
            }
            version => return Err(damaged(format!("version {version} of NumPy's format, of which 1 to 3 are known"))),
        };
        if len > LONGEST_HEADER {
            return Err(damaged(format!("a header of {len} bytes")));
        }
        let mut text = vec![0; len];
        reader.read_exact(&mut text).map_err(|_| damaged("its header is cut short"))?;
        let text = String::from_utf8(text).map_err(|_| damaged("its header is no text"))?;
        let Literal { descriptor, is_fortran, shape } =
            Literal::parse(&text).ok_or_else(|| damaged(format!("its header is not understood: {}", text.trim())))?;
        let wrong_type = || NpyError::ElementType(descriptor.clone());
        let is_big_endian = descriptor.starts_with('>');
        // Order has no meaning for one byte, and files have any of these before it.
        let known = [descriptor.replacen('>', "<", 1), descriptor.replacen(['<', '>'], "|", 1)];
        let element = known.iter().find_map(|name| Element::from_npy(name)).ok_or_else(wrong_type)?;
        Ok(Self { element, is_big_endian, is_fortran, shape })
    }

    /// The number of bytes of all elements, by [`Element::num_bytes`].
    #[must_use]
    pub fn num_bytes(&self) -> Option<usize> {
        self.element.num_bytes(&self.shape)
    }

    /// Builds the array from its elements; those too large for f32 become infinite.
    ///
    /// # Errors
    /// Fewer or more bytes than the shape needs.
    pub fn array(&self, mut bytes: Vec<u8>) -> Result<ArrayD<f32>, NpyError> {
        let Self { element, shape, .. } = self;
        if self.num_bytes() != Some(bytes.len()) {
            let got = bytes.len();
            return Err(damaged(format!("{got} bytes of data do not hold {element:?} values of shape {shape:?}")));
        }
        self.to_little_endian(&mut bytes);
        let mut values = Vec::with_capacity(bytes.len() / element.size());
        element.extend(&bytes, &mut values);
        ArrayD::from_shape_vec(shape.clone().set_f(self.is_fortran), values).map_err(damaged)
    }

    pub(crate) fn to_little_endian(&self, bytes: &mut [u8]) {
        if self.is_big_endian {
            bytes.chunks_exact_mut(self.element.size()).for_each(<[u8]>::reverse);
        }
    }
}

/// Reads a whole array: its header, and its elements as bytes.
///
/// # Errors
/// As [`NpyHeader::read`]; truncated data, or data followed by more bytes.
pub(crate) fn read_npy(reader: &mut impl Read) -> Result<(NpyHeader, Vec<u8>), NpyError> {
    let header = NpyHeader::read(reader)?;
    let shape = &header.shape;
    let expected = header.num_bytes().ok_or_else(|| damaged(format!("no file holds a shape of {shape:?}")))?;
    // No more memory than there is data, and one byte more than expected, to notice that there is more.
    let mut bytes = Vec::new();
    reader.take((expected as u64).saturating_add(1)).read_to_end(&mut bytes).map_err(damaged)?;
    match bytes.len() {
        got if got < expected => Err(damaged(format!("its data are cut short: {got} of {expected} bytes"))),
        got if got > expected => Err(damaged(format!("more than the {expected} bytes of data of shape {shape:?}"))),
        _ => Ok((header, bytes)),
    }
}

/// An array of an archive with its name, or what is wrong with it.
pub type NamedArray<A = ArrayD<f32>> = (String, Result<A, NpyError>);

/// The arrays of a `.npz` file with their names, in their order.
///
/// # Errors
/// A file that is not an archive, or damaged. Errors of single arrays are returned in their place.
pub fn read_npz(bytes: impl AsRef<[u8]>) -> Result<Vec<NamedArray>, NpyError> {
    let arrays = read_npz_with(bytes.as_ref(), |header, bytes| header.array(bytes))?;
    Ok(arrays)
}

/// [`read_npz`] with a function that converts a header and bytes.
pub(crate) fn read_npz_with<A>(
    bytes: &[u8],
    array: impl Fn(NpyHeader, Vec<u8>) -> Result<A, NpyError>,
) -> Result<Vec<NamedArray<A>>, NpyError> {
    let not_npz = |error: zip::result::ZipError| damaged(format!("{error}: write arrays with numpy.savez"));
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(not_npz)?;
    let mut arrays = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(not_npz)?;
        let name = entry.name().strip_suffix(".npy").unwrap_or(entry.name()).to_owned();
        let read = read_npy(&mut entry).and_then(|(header, bytes)| array(header, bytes));
        arrays.push((name, read));
    }
    Ok(arrays)
}

/// The content of a header, which is a Python dictionary literal.
struct Literal {
    descriptor: String,
    is_fortran: bool,
    shape: Vec<usize>,
}

impl Literal {
    /// Parses the three keys, in any order; `None` for other text.
    fn parse(text: &str) -> Option<Self> {
        let (mut descriptor, mut is_fortran, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{')?.trim_start();
        while !rest.is_empty() {
            if rest == "}" {
                return Some(Self { descriptor: descriptor?, is_fortran: is_fortran?, shape: shape? });
            }
            let (key, after) = quoted(rest)?;
            let value = after.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" => {
                    // A list describes elements of several parts.
                    let (name, after) =
                        quoted(value).or_else(|| value.starts_with('[').then_some(("structured", value)))?;
                    descriptor = Some(name.to_owned());
                    if name == "structured" {
                        return Some(Self { descriptor: name.to_owned(), is_fortran: false, shape: Vec::new() });
                    }
                    after
                }
                "fortran_order" => {
                    let (value, after) = match value.strip_prefix("True") {
                        Some(after) => (true, after),
                        None => (false, value.strip_prefix("False")?),
                    };
                    is_fortran = Some(value);
                    after
                }
                "shape" => {
                    let (lens, after) = value.strip_prefix('(')?.split_once(')')?;
                    let lens = lens.trim().trim_end_matches(',');
                    // Python 2 wrote long integers with an L.
                    let len = |len: &str| len.trim().trim_end_matches('L').parse::<usize>().ok();
                    shape = Some(match lens.is_empty() {
                        true => Vec::new(),
                        false => lens.split(',').map(len).collect::<Option<_>>()?,
                    });
                    after
                }
                _ => return None,
            };
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        None
    }
}

/// The quoted text at the beginning, and the rest.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    text[1..].split_once(quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, bool, Vec<usize>)> {
        Literal::parse(text).map(|literal| (literal.descriptor, literal.is_fortran, literal.shape))
    }

    #[test]
    fn headers_are_read_as_python_reads_them() {
        let of = |shape: &[usize]| Some(("<f4".to_owned(), false, shape.to_vec()));
        assert_eq!(parsed("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }    \n"), of(&[2, 3]));
        assert_eq!(parsed("{\"shape\":(3L,),\"fortran_order\":False,\"descr\":\"<f4\"}"), of(&[3]));
        assert_eq!(parsed("{'descr': '<f4', 'fortran_order': False, 'shape': (), }"), of(&[]));
        let fortran = parsed("{'descr': '|b1', 'fortran_order': True, 'shape': (1,), }");
        assert_eq!(fortran, Some(("|b1".to_owned(), true, vec![1])));
        for wrong in [
            "",
            "{}",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } and",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
            "{'descr",
            "{[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
        let structured = parsed("{'descr': [('a', '<f4'), ('b', '<i8')], 'fortran_order': False, 'shape': (2,), }");
        assert_eq!(structured.map(|(descriptor, ..)| descriptor), Some("structured".to_owned()));
    }
}
