//! Converts the little-endian bytes of any element type to f32.

use half::{bf16, f16};
use safetensors::Dtype;

/// The type of an array's elements on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Element {
    /// 0 is false.
    Bool,
    /// 8 bits.
    I8,
    /// 16 bits.
    I16,
    /// 32 bits.
    I32,
    /// 64 bits.
    I64,
    /// 8 bits without sign.
    U8,
    /// 16 bits without sign.
    U16,
    /// 32 bits without sign.
    U32,
    /// 64 bits without sign.
    U64,
    /// Half precision.
    F16,
    /// Half precision with the range of `f32`.
    Bf16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

impl Element {
    /// The element type of a safetensors type.
    #[must_use]
    pub fn from_safetensors(dtype: Dtype) -> Option<Self> {
        Some(match dtype {
            Dtype::BOOL => Self::Bool,
            Dtype::I8 => Self::I8,
            Dtype::I16 => Self::I16,
            Dtype::I32 => Self::I32,
            Dtype::I64 => Self::I64,
            Dtype::U8 => Self::U8,
            Dtype::U16 => Self::U16,
            Dtype::U32 => Self::U32,
            Dtype::U64 => Self::U64,
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::Bf16,
            Dtype::F32 => Self::F32,
            Dtype::F64 => Self::F64,
            _ => return None,
        })
    }

    /// The element type of a NumPy type descriptor in little-endian order; `|` marks types without byte order.
    #[must_use]
    pub fn from_npy(descriptor: &str) -> Option<Self> {
        Some(match descriptor {
            "|b1" => Self::Bool,
            "|i1" => Self::I8,
            "<i2" => Self::I16,
            "<i4" => Self::I32,
            "<i8" => Self::I64,
            "|u1" => Self::U8,
            "<u2" => Self::U16,
            "<u4" => Self::U32,
            "<u8" => Self::U64,
            "<f2" => Self::F16,
            "<f4" => Self::F32,
            "<f8" => Self::F64,
            _ => return None,
        })
    }

    /// Bytes of one element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 | Self::F16 | Self::Bf16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    /// The number of bytes of an array of this shape. `None` if the product of its non-zero axes and the element size
    /// exceeds `isize::MAX`.
    #[must_use]
    pub fn num_bytes(self, shape: &[usize]) -> Option<usize> {
        let longer = shape.iter().filter(|&&len| len > 0).try_fold(self.size(), |bytes, &len| bytes.checked_mul(len));
        let bytes = longer.filter(|&bytes| bytes <= isize::MAX as usize)?;
        Some(if shape.contains(&0) { 0 } else { bytes })
    }

    /// Appends the elements in `bytes` to `out`, rounded to the nearest f32. Values of f64 beyond its range become
    /// infinite.
    pub fn extend(self, bytes: &[u8], out: &mut Vec<f32>) {
        /// Reads from copies of N bytes, so that the data may begin at any byte of a file.
        fn each<const N: usize>(bytes: &[u8], out: &mut Vec<f32>, f: impl Fn([u8; N]) -> f32) {
            out.extend(bytes.as_chunks::<N>().0.iter().map(|&chunk| f(chunk)));
        }
        match self {
            Self::Bool => each(bytes, out, |[b]| f32::from(u8::from(b != 0))),
            Self::I8 => each(bytes, out, |b| f32::from(i8::from_le_bytes(b))),
            Self::I16 => each(bytes, out, |b| f32::from(i16::from_le_bytes(b))),
            Self::I32 => each(bytes, out, |b| i32::from_le_bytes(b) as f32),
            Self::I64 => each(bytes, out, |b| i64::from_le_bytes(b) as f32),
            Self::U8 => each(bytes, out, |[b]| f32::from(b)),
            Self::U16 => each(bytes, out, |b| f32::from(u16::from_le_bytes(b))),
            Self::U32 => each(bytes, out, |b| u32::from_le_bytes(b) as f32),
            Self::U64 => each(bytes, out, |b| u64::from_le_bytes(b) as f32),
            Self::F16 => each(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
            Self::Bf16 => each(bytes, out, |b| bf16::from_le_bytes(b).to_f32()),
            Self::F32 => each(bytes, out, f32::from_le_bytes),
            Self::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        }
    }

    /// The first finite number in `bytes` that is too large for f32.
    pub(crate) fn first_too_large(self, bytes: &[u8]) -> Option<f64> {
        let is_too_large = |value: &f64| value.is_finite() && (*value as f32).is_infinite();
        let doubles = if self == Self::F64 { bytes.as_chunks().0 } else { &[] };
        doubles.iter().map(|b| f64::from_le_bytes(*b)).find(is_too_large)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_a_shape_that_memory_can_have() {
        let bytes = |shape: &[usize]| Element::F32.num_bytes(shape);
        assert_eq!([bytes(&[]), bytes(&[3, 2]), bytes(&[0, 7]), bytes(&[7, 0])], [4, 24, 0, 0].map(Some));
        for shape in [&[1 << 62][..], &[1 << 32, 1 << 32], &[0, 1 << 63, 4], &[1 << 63, 4, 0], &[4, 0, 1 << 61]] {
            assert_eq!(bytes(shape), None, "{shape:?}");
        }
        assert_eq!(Element::U8.num_bytes(&[isize::MAX as usize]), Some(isize::MAX as usize));
    }

    #[test]
    fn every_type_gives_the_values_that_were_written() {
        let read = |element: Element, bytes: &[u8]| {
            assert_eq!(bytes.len() % element.size(), 0);
            let mut out = Vec::new();
            element.extend(bytes, &mut out);
            out
        };
        assert_eq!(read(Element::Bool, &[0, 1, 255]), [0.0, 1.0, 1.0]);
        assert_eq!(read(Element::I8, &[0xff, 127]), [-1.0, 127.0]);
        assert_eq!(read(Element::I16, &(-300i16).to_le_bytes()), [-300.0]);
        assert_eq!(read(Element::I32, &(-70_000i32).to_le_bytes()), [-70_000.0]);
        assert_eq!(read(Element::I64, &(1i64 << 40).to_le_bytes()), [1_099_511_627_776.0]);
        assert_eq!(read(Element::U8, &[200]), [200.0]);
        assert_eq!(read(Element::U16, &65_535u16.to_le_bytes()), [65_535.0]);
        assert_eq!(read(Element::U32, &(1u32 << 31).to_le_bytes()), [2_147_483_648.0]);
        assert_eq!(read(Element::U64, &u64::MAX.to_le_bytes()), [18_446_744_073_709_551_615.0]);
        assert_eq!(read(Element::F16, &f16::from_f32(-1.5).to_le_bytes()), [-1.5]);
        assert_eq!(read(Element::Bf16, &bf16::from_f32(0.25).to_le_bytes()), [0.25]);
        assert_eq!(read(Element::F32, &0.1f32.to_le_bytes()), [0.1]);
        assert_eq!(read(Element::F64, &[0.1f64.to_le_bytes(), 1e300f64.to_le_bytes()].concat()), [0.1, f32::INFINITY]);
        assert!(read(Element::F64, &f64::NAN.to_le_bytes())[0].is_nan());
    }
}
