//! Holds nothing: the benchmarks are in `quickstart.rs`.
