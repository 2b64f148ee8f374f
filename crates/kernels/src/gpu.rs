//! Manages a GPU: its memory, which is reused from step to step, and the sizes of kernel launches.
//!
//! Kernels are written in CubeCL, Burn's kernel language. One kernel computes a layer together with the operations
//! before and after it, so that a training step has some 170 launches instead of two thousand with Burn's operations.
//! All products are in f32.

#![allow(unsafe_code, reason = "kernels are told how long their arrays are; the lengths are those of `Numbers`")]

use crate::op::product::gpu::Tile;
use burn::tensor::Device;
use cubecl::{
    bytes::Bytes,
    client::Client,
    prelude::*,
    server::{Handle, ServerError},
};
use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
};

/// An error of a GPU or its driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuFailure(String);

impl GpuFailure {
    fn new(error: ServerError) -> Self {
        const EMPTY: [&str; 3] = ["Caused by:", "Asked at:", "No backtrace available"];
        // Removes backtraces, which may be between the messages of several failures.
        let mut in_backtrace = false;
        let text = error.to_string();
        let said = text.lines().map(str::trim).filter(|line| {
            in_backtrace |= line.starts_with("Backtrace:");
            in_backtrace &= !line.starts_with("Caused by:");
            !in_backtrace && !line.is_empty() && !EMPTY.contains(line)
        });
        Self(said.collect::<Vec<_>>().join(": "))
    }
}

impl fmt::Display for GpuFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The largest array length: indices in kernels are u32, including those of the last cube's idle threads.
const MOST_NUMBERS: usize = u32::MAX as usize - 255;

/// A GPU, and launch sizes that suit it.
pub struct Gpu {
    pub(crate) client: Client,
    /// Memory allocated for one step is reused by the next: allocating and freeing some GB took longer than all kernels
    /// of a large batch.
    memory: Mutex<Vec<Numbers>>,
    /// Threads whose job requested an array longer than the largest length.
    overflows: Mutex<Vec<ThreadId>>,
    /// Threads of a cube: of kernels that go through numbers, and in both directions of a product's tile.
    pub(crate) threads: u32,
    pub(crate) side: [u32; 2],
}

/// Locks data that stay consistent even after a panic elsewhere.
fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers on the device.
#[derive(Debug, Clone)]
pub struct Numbers {
    handle: Handle,
    pub(crate) len: usize,
    /// Counts the owners of the memory.
    holders: Arc<()>,
}

/// A matrix, row after row.
#[derive(Debug, Clone)]
pub struct Rows {
    pub(crate) values: Numbers,
    pub(crate) rows: usize,
    pub(crate) width: usize,
}

/// The client that submits work to a GPU; `None` if the device is not a GPU.
pub(crate) fn client(device: &Device) -> Option<Client> {
    #[cfg(any(feature = "cuda", feature = "cubecl-cpu"))]
    if let burn::backend::DispatchDevice::Cube(device) = device.clone().without_autodiff().as_dispatch() {
        return Some(device.client());
    }
    let _ = device;
    None
}

/// Whether this is a device of CubeCL, on which [`GpuDensity`](crate::GpuDensity) and
/// [`GpuTraining`](crate::GpuTraining) work.
#[must_use]
pub fn is_gpu(device: &Device) -> bool {
    client(device).is_some()
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gpu").field(&self.client.name()).finish()
    }
}

impl Gpu {
    pub(crate) fn new(mut client: Client) -> Self {
        // One stream for all threads. CubeCL has a stream for each thread, so kernels on one stream could overwrite
        // memory that pending kernels on another still use.
        let stream = client.empty(size_of::<f32>()).stream;
        // SAFETY: all that the kernels of this client see was allocated by it, so it is used in the order of this one
        // stream.
        unsafe { client.set_stream(stream) };
        let most = client.properties().hardware.max_units_per_cube;
        // CubeCL's processor, on which kernels are tested, has as many threads as cores.
        let (threads, side) = match most {
            256.. => (256, [16, 16]),
            4.. => (4, [2, 2]),
            2.. => (2, [2, 1]),
            _ => (1, [1, 1]),
        };
        Self { client, memory: Mutex::default(), overflows: Mutex::default(), threads, side }
    }

    pub(crate) fn upload(&self, values: Vec<f32>) -> Numbers {
        let numbers = self.empty(values.len());
        if !values.is_empty() {
            let mut bytes = Bytes::from_elems(values);
            // Into pinned memory, from which the driver copies three times as fast.
            self.client.staging(std::iter::once(&mut bytes), false);
            self.client.write(&numbers.handle, bytes);
        }
        numbers
    }

    pub(crate) fn upload_indices(&self, values: &[u32]) -> Numbers {
        let handle = self.client.create_from_slice(u32::as_bytes(values));
        Numbers { handle, len: values.len(), holders: Arc::default() }
    }

    /// Numbers that are not yet written.
    pub(crate) fn empty(&self, len: usize) -> Numbers {
        if len > MOST_NUMBERS {
            locked(&self.overflows).push(thread::current().id());
        }
        let mut memory = locked(&self.memory);
        // Takes a buffer of this length or, for a job's last chunk, up to twice as long.
        let free =
            |numbers: &&Numbers| (len..=2 * len).contains(&numbers.len) && Arc::strong_count(&numbers.holders) == 1;
        if let Some(numbers) = memory.iter().filter(free).min_by_key(|numbers| numbers.len) {
            return numbers.part(0..len);
        }
        // The allocator gives no memory for no numbers.
        let handle = self.client.empty(len.max(1) * size_of::<f32>());
        let numbers = Numbers { handle, len, holders: Arc::default() };
        memory.push(numbers.clone());
        numbers
    }

    /// Frees unused memory.
    pub(crate) fn release(&self) {
        locked(&self.memory).retain(|numbers| Arc::strong_count(&numbers.holders) > 1);
    }

    pub(crate) fn rows(&self, rows: usize, width: usize) -> Rows {
        Rows { values: self.empty(rows * width), rows, width }
    }

    /// Reads an array, after all work submitted so far. An error of that work is returned here.
    pub(crate) fn read(&self, array: &Numbers) -> Result<Vec<f32>, GpuFailure> {
        let failed = |failure| {
            // A failed allocation leaves buffers that cannot be used: the next job allocates new ones.
            locked(&self.memory).clear();
            failure
        };
        let job = thread::current().id();
        let overflows = locked(&self.overflows).extract_if(.., |thread| *thread == job).count();
        if overflows > 0 {
            let reason = format!("an array of more than {MOST_NUMBERS} numbers, the most that kernels can index");
            return Err(failed(GpuFailure(reason)));
        }
        let bytes = self.client.read_one(array.handle.clone()).map_err(|error| failed(GpuFailure::new(error)))?;
        Ok(f32::from_bytes(&bytes)[..array.len].to_vec())
    }

    /// The number of cubes for a number of work items, and their threads.
    pub(crate) fn each(&self, work: usize) -> (CubeCount, CubeDim) {
        (CubeCount::Static(work.div_ceil(self.threads as usize) as u32, 1, 1), CubeDim::new_1d(self.threads))
    }

    /// As [`Gpu::each`] for work items that are whole rows: small cubes, so that a few thousand rows occupy all
    /// multiprocessors.
    pub(crate) fn each_row(&self, rows: usize) -> (CubeCount, CubeDim) {
        let threads = self.threads.min(64);
        (CubeCount::Static(rows.div_ceil(threads as usize) as u32, 1, 1), CubeDim::new_1d(threads))
    }

    /// The tile size for a number of rows and columns: large for large matrices, and small enough to occupy all
    /// multiprocessors.
    pub(crate) fn tile(&self, rows: usize, columns: usize) -> Tile {
        let [ty, tx] = self.side;
        let tn = if columns <= tx as usize { 1 } else { 4 };
        let tm = match rows {
            0..8192 => 4,
            _ => 8,
        };
        Tile { ty, tx, tm, tn, depth: 32 }
    }
}

impl Numbers {
    pub(crate) fn arg(&self) -> BufferArg {
        // SAFETY: `len` numbers of f32 or u32 were allocated.
        unsafe { BufferArg::from_raw_parts(self.handle.clone(), self.len.max(1)) }
    }

    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        let size = size_of::<f32>() as u64;
        let handle = self.handle.clone().offset_start(range.start as u64 * size);
        let handle = handle.offset_end(self.len.saturating_sub(range.end) as u64 * size);
        Self { handle, len: range.len(), holders: Arc::clone(&self.holders) }
    }

    /// From this number on.
    pub(crate) fn from(&self, start: usize) -> Self {
        self.part(start..self.len)
    }
}

impl Rows {
    pub(crate) fn new(values: Numbers, width: usize) -> Self {
        Self { rows: values.len / width.max(1), values, width }
    }
}
