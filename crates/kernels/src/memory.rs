//! Reuses buffers, since each training step needs buffers of the same sizes.
//!
//! A step of the quickstart writes 10 MB of activations and gradients. New buffers would be zeroed by the allocator or
//! the operating system, which takes about a tenth of the step.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Mutex,
};

/// The total number of values in kept buffers: 256 MB. Further buffers are freed.
const KEPT: usize = 64 << 20;

/// Free buffers by the binary logarithm of their length.
struct Free {
    classes: [Vec<Vec<f32>>; 48],
    kept: usize,
}

static FREE: Mutex<Free> = Mutex::new(Free { classes: [const { Vec::new() }; 48], kept: 0 });

/// A buffer whose initial values are arbitrary.
pub struct Buffer {
    values: Vec<f32>,
    len: usize,
}

impl Buffer {
    /// A buffer to be written before it is read.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let class = class(len);
        let free = FREE.lock().ok().and_then(|mut free| {
            let values = free.classes[class].pop()?;
            free.kept -= values.len();
            Some(values)
        });
        Self { values: free.unwrap_or_else(|| vec![0.0; 1 << class]), len }
    }

    /// A buffer of zeros.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        let mut buffer = Self::new(len);
        buffer.fill(0.0);
        buffer
    }

    /// A buffer with these values.
    #[must_use]
    pub fn copy_of(values: &[f32]) -> Self {
        let mut buffer = Self::new(values.len());
        buffer.copy_from_slice(values);
        buffer
    }
}

fn class(len: usize) -> usize {
    len.next_power_of_two().trailing_zeros() as usize
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        if let Ok(mut free) = FREE.lock()
            && free.kept + values.len() <= KEPT
        {
            free.kept += values.len();
            free.classes[class(values.len())].push(values);
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.len]
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({})", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_has_the_length_asked_for() {
        for len in [0, 1, 63, 64, 65, 1000] {
            assert_eq!(Buffer::new(len).len(), len);
            assert!(Buffer::zeros(len).iter().all(|&v| v == 0.0));
        }
        assert_eq!(&*Buffer::copy_of(&[1.0, 2.0, 3.0]), &[1.0, 2.0, 3.0]);
    }
}
