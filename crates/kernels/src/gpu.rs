//! Holds a GPU: its memory, which is used again from step to step, and how its kernels are cut.
//!
//! Kernels are written in CubeCL, Burn's language for them. A layer with what belongs before and after it is one
//! kernel, so that a training step is some 170 of them where a composition of Burn's operations has two thousand. All
//! products are in f32.

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

/// What a GPU, or its driver, failed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuFailure(String);

impl GpuFailure {
    fn new(error: ServerError) -> Self {
        const EMPTY: [&str; 3] = ["Caused by:", "Asked at:", "No backtrace available"];
        // Without backtraces, which may be in the midst of what several failures say.
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

/// The length of an array whose numbers kernels can count in u32, those too that the last cube's threads would go on
/// with.
const MOST_NUMBERS: usize = u32::MAX as usize - 255;

/// A GPU, and the sizes that fit it.
pub struct Gpu {
    pub(crate) client: Client,
    /// Memory that was taken for what one step computes is that of the next one: taking and giving back some GB took
    /// longer than all kernels of a large batch.
    memory: Mutex<Vec<Numbers>>,
    /// Threads whose job has asked for an array of more numbers than kernels can count.
    overflows: Mutex<Vec<ThreadId>>,
    /// Threads of a cube: of kernels that go through numbers, and in both directions of a product's tile.
    pub(crate) threads: u32,
    pub(crate) side: [u32; 2],
}

/// What is consistent also after a panic elsewhere.
fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Numbers on the device.
#[derive(Debug, Clone)]
pub struct Numbers {
    handle: Handle,
    pub(crate) len: usize,
    /// Counts who holds the memory.
    holders: Arc<()>,
}

/// A matrix, row after row.
#[derive(Debug, Clone)]
pub struct Rows {
    pub(crate) values: Numbers,
    pub(crate) rows: usize,
    pub(crate) width: usize,
}

/// What gives work to a GPU; `None` if the device is none.
pub(crate) fn client(device: &Device) -> Option<Client> {
    #[cfg(any(feature = "cuda", feature = "cubecl-cpu"))]
    if let burn::backend::DispatchDevice::Cube(device) = device.clone().without_autodiff().as_dispatch() {
        return Some(device.client());
    }
    let _ = device;
    None
}

/// Whether this is a device of CubeCL's: [`GpuDensity`](crate::GpuDensity) and [`GpuTraining`](crate::GpuTraining) work
/// there.
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
        // One stream for all of it, whichever threads ask: CubeCL's are one for each thread, and memory that was used
        // by kernels on one of them could be written to on another before they have run.
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
            // Into memory that the driver copies from by itself: three times as fast as it copies from any other.
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
        // Of this length or, for a job's last chunk, up to twice as long.
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

    /// Gives back what is not in use.
    pub(crate) fn release(&self) {
        locked(&self.memory).retain(|numbers| Arc::strong_count(&numbers.holders) > 1);
    }

    pub(crate) fn rows(&self, rows: usize, width: usize) -> Rows {
        Rows { values: self.empty(rows * width), rows, width }
    }

    /// What has come of everything so far.
    pub(crate) fn read(&self, array: &Numbers) -> Result<Vec<f32>, GpuFailure> {
        let failed = |failure| {
            // Memory that could not be had stays so: let the next job ask anew.
            locked(&self.memory).clear();
            failure
        };
        let job = thread::current().id();
        let overflows = locked(&self.overflows).extract_if(.., |thread| *thread == job).count();
        if overflows > 0 {
            let reason = format!("an array of more than the {MOST_NUMBERS} numbers that kernels count");
            return Err(failed(GpuFailure(reason)));
        }
        let bytes = self.client.read_one(array.handle.clone()).map_err(|error| failed(GpuFailure::new(error)))?;
        Ok(f32::from_bytes(&bytes)[..array.len].to_vec())
    }

    /// How many cubes go through so many pieces of work, and their threads.
    pub(crate) fn each(&self, work: usize) -> (CubeCount, CubeDim) {
        (CubeCount::Static(work.div_ceil(self.threads as usize) as u32, 1, 1), CubeDim::new_1d(self.threads))
    }

    /// As [`Gpu::each`] where a piece of work is a whole row: small cubes, so that a few thousand rows go to all
    /// processors.
    pub(crate) fn each_row(&self, rows: usize) -> (CubeCount, CubeDim) {
        let threads = self.threads.min(64);
        (CubeCount::Static(rows.div_ceil(threads as usize) as u32, 1, 1), CubeDim::new_1d(threads))
    }

    /// Tiles for so many rows and columns: large ones for large matrices, and as many as the processors need.
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
