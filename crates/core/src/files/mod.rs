//! Writes files and folders atomically: either all of their content is there, or they are not. Checksums tell whether
//! they have changed since. Locks folders against other processes.
//!
//! All files except TensorBoard's event files are written through these [operations](operation), each of which a test
//! can make [fail](faults).

mod atomic;
pub mod faults;
mod lock;
pub mod operation;
mod scratch;
mod seal;
#[cfg(test)]
mod tests;

pub use atomic::{NewFile, current, replace_folder_atomically, write_atomically, write_folder_atomically};
pub use lock::FolderLock;
pub use scratch::{check_writable, delete_folder, settle};
pub use seal::{VerifyError, crc32, is_sealed, read_seal, seal, verify};
