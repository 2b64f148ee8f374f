//! Maps files into memory, within a budget of maps, and reads the files beyond it when rows are asked for.

use super::DataError;
use memmap2::Mmap;
use std::{
    fmt,
    fs::{File, Metadata},
    io::{Read, Seek, SeekFrom},
    ops::Deref,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

/// Files that a process maps at a time, at most. Linux allows a process 65,530 maps by default (`vm.max_map_count`),
/// its heap and its threads among them, and rounds of millions of simulations have a file for each batch.
const MOST_MAPS: usize = 1 << 15;

/// The maps of this process.
pub(crate) static MAPS: Maps = Maps::new(MOST_MAPS);

/// Counts mapped files.
#[derive(Debug)]
pub(crate) struct Maps {
    live: AtomicUsize,
    most: usize,
}

/// The bytes of a mapped file.
pub(crate) struct Mapped {
    map: Mmap,
    maps: &'static Maps,
}

/// A file that is opened again whenever it is read.
#[derive(Debug)]
pub(crate) struct Unmapped {
    path: PathBuf,
    state: State,
}

/// What changes with the content of a file: its length, and when it was last written, where the system knows it.
type State = (u64, Option<SystemTime>);

/// A file that rows are read from.
#[derive(Debug, Clone)]
pub(crate) enum DataFile {
    Mapped(Arc<Mapped>),
    Unmapped(Arc<Unmapped>),
}

impl Maps {
    pub(crate) const fn new(most: usize) -> Self {
        Self { live: AtomicUsize::new(0), most }
    }

    /// Opens a file. Its bytes are mapped as long as the caller holds the first of the two; the second stays mapped
    /// only within the budget. No file handle stays open.
    pub(crate) fn open(&'static self, path: &Path) -> Result<(Arc<Mapped>, DataFile), DataError> {
        let file = File::open(path).map_err(DataError::read(path))?;
        let map = map(&file).map_err(DataError::read(path))?;
        let is_within = self.live.fetch_add(1, Ordering::Relaxed) < self.most;
        let bytes = Arc::new(Mapped { map, maps: self });
        if is_within {
            return Ok((bytes.clone(), DataFile::Mapped(bytes)));
        }
        let state = state(&file.metadata().map_err(DataError::read(path))?);
        Ok((bytes, DataFile::Unmapped(Arc::new(Unmapped { path: path.to_owned(), state }))))
    }
}

fn state(metadata: &Metadata) -> State {
    (metadata.len(), metadata.modified().ok())
}

#[expect(unsafe_code, reason = "a map cannot rule out that other programs change the file")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is read-only, private to this crate, and read only as bytes, every value of which is valid. What
    // remains is another program that changes the file meanwhile: by the letter undefined behaviour; in practice rows
    // are read half old and half new, and if the file is cut short, reading beyond its end ends the process with
    // SIGBUS. `presimulate` and `save_simulations` never do either, since they replace files by renaming, which leaves
    // the mapped one as it was; of other programs the documentation of `Dataset` asks it.
    unsafe { Mmap::map(file) }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.maps.live.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapped").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl DataFile {
    /// Passes on `len` bytes from each offset.
    ///
    /// # Errors
    /// Of a file that is not mapped: it cannot be read, or was changed.
    ///
    /// # Panics
    /// If a mapped file ends before.
    pub(crate) fn read(
        &self,
        offsets: impl Iterator<Item = usize>,
        len: usize,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), DataError> {
        match self {
            Self::Mapped(bytes) => offsets.for_each(|offset| each(&bytes[offset..][..len])),
            Self::Unmapped(unmapped) => {
                let (mut file, mut bytes) = (unmapped.open()?, vec![0; len]);
                for offset in offsets {
                    let read = file.seek(SeekFrom::Start(offset as u64)).and_then(|_| file.read_exact(&mut bytes));
                    read.map_err(DataError::read(&unmapped.path))?;
                    each(&bytes);
                }
            }
        }
        Ok(())
    }
}

impl Unmapped {
    /// The file, if it is as it was.
    fn open(&self) -> Result<File, DataError> {
        let file = File::open(&self.path).map_err(DataError::read(&self.path))?;
        let now = state(&file.metadata().map_err(DataError::read(&self.path))?);
        let replaced = || DataError::Replaced { path: self.path.clone() };
        (now == self.state).then_some(file).ok_or_else(replaced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ContextGenerator, Dataset, GenerativeModel, Presimulation, Prior, Progress, Simulator};
    use bayesburn_core::Simulations;
    use ndarray::Array2;
    use rand::RngExt;
    use rand_distr::StandardNormal;
    use std::fs;

    fn maps(most: usize) -> &'static Maps {
        Box::leak(Box::new(Maps::new(most)))
    }

    fn live(maps: &Maps) -> usize {
        maps.live.load(Ordering::Relaxed)
    }

    /// 30 shards of three simulations, as rounds have them: each with 2 to 4 observations of its own.
    fn store(folder: &Path) {
        let prior = Prior::from_fn(["mu"], |rng, _| [rng.sample(StandardNormal)]);
        let simulator = Simulator::from_fn(|rng, mu, context| {
            Array2::from_shape_fn((context.num_observations(), 2), |_| mu[0] + rng.sample::<f32, _>(StandardNormal))
        });
        let model = GenerativeModel::new(prior, simulator.with_context(ContextGenerator::num_observations(2..=4)))
            .expect("sound");
        let settings = Presimulation::new(90, 5).with_simulations_per_shard(3).with_progress(Progress::Hidden);
        model.presimulate(folder, &settings).expect("written");
    }

    /// All rows, group by group and in disorder.
    fn all(data: &Dataset) -> Vec<Simulations> {
        let rows = data.groups().iter().map(|group| {
            let mut rows: Vec<usize> = group.rows().collect();
            rows.sort_by_key(|row| row * 37 % 90);
            rows
        });
        rows.map(|rows| data.select(&rows).expect("there")).collect()
    }

    #[test]
    fn files_beyond_the_budget_are_read_to_the_same_values() {
        let folder = tempfile::tempdir().expect("a folder");
        store(folder.path());
        let (few, many, none) = (maps(7), maps(1000), maps(0));
        let [within, mapped, read] = [few, many, none].map(|maps| Dataset::open_within(folder.path(), maps));
        let [within, mapped, read] = [within, mapped, read].map(|data| data.expect("a store"));
        assert_eq!([few, many, none].map(live), [7, 30, 0]);
        assert_eq!(mapped.groups().len(), 3);
        for data in [&within, &read] {
            assert_eq!(all(data), all(&mapped));
            assert_eq!(data.fingerprint(), mapped.fingerprint());
            assert_eq!(data.copies().expect("readable"), mapped.copies().expect("readable"));
            data.verify().expect("whole");
        }
        // A clone shares the maps; the last owner gives them back.
        let clone = within.clone();
        drop(within);
        assert_eq!(live(few), 7);
        drop(clone);
        assert_eq!(live(few), 0);
        let again = Dataset::open_within(folder.path(), few).expect("a store");
        assert_eq!((live(few), all(&again) == all(&mapped)), (7, true));
    }

    #[test]
    fn an_unmapped_file_that_is_gone_or_changed_is_named_and_not_read() {
        let folder = tempfile::tempdir().expect("a folder");
        store(folder.path());
        let data = Dataset::open_within(folder.path(), maps(0)).expect("a store");
        let fingerprint = data.fingerprint();
        let path = folder.path().join("shard-000000.safetensors");
        let whole = fs::read(&path).expect("there");
        fs::remove_file(&path).expect("removed");
        for error in [data.select(&[0]).expect_err("gone").to_string(), data.copies().expect_err("gone").to_string()] {
            assert!(error.contains("cannot read") && error.contains("shard-000000"), "{error}");
        }
        assert!(data.fingerprint().contains("shard-000000") && data.fingerprint() != fingerprint);
        fs::write(&path, [&whole[..], &[0]].concat()).expect("written");
        match data.select(&[0]) {
            Err(DataError::Replaced { path: changed }) => assert_eq!(changed, path),
            other => panic!("{other:?}"),
        }
        // Of the same length, but of another time.
        fs::write(&path, &whole).expect("written");
        let hour = std::time::Duration::from_secs(3600);
        let file = File::options().write(true).open(&path).expect("there");
        file.set_modified(SystemTime::now() + hour).expect("its time is set");
        assert!(data.select(&[0]).expect_err("changed").to_string().contains("open the data set again"));
        data.select(&[3, 5]).expect("of another shard");
    }
}
