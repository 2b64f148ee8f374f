//! Joins and takes columns on the processor.

/// Rows of `first` and `second`, of these widths, side by side.
pub(crate) fn join(first: &[f32], second: &[f32], [d1, d2]: [usize; 2], out: &mut [f32]) {
    for (r, out) in out.chunks_exact_mut(d1 + d2).enumerate() {
        out[..d1].copy_from_slice(&first[r * d1..(r + 1) * d1]);
        out[d1..].copy_from_slice(&second[r * d2..(r + 1) * d2]);
    }
}

/// The first `dim` columns of rows of this width.
pub(crate) fn columns(values: &[f32], width: usize, dim: usize, out: &mut [f32]) {
    for (out, row) in out.chunks_exact_mut(dim).zip(values.chunks_exact(width)) {
        out.copy_from_slice(&row[..dim]);
    }
}
