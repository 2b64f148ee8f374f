//! Runs whole workflows: training, resuming, calibration, and what happens with bad input.
//!
//! One binary, so that Burn is linked once.

mod bad_input;
mod calibration;
mod checkpoints;
mod data_shapes;
mod direct;
mod events;
mod failures;
mod faults;
mod feature_names;
mod golden;
mod gpu;
mod imports;
mod interruptions;
mod models;
mod options;
mod other_model;
mod own_classifier;
mod own_inference_network;
mod own_summary_network;
mod resume;
mod statistics;
mod summary_networks;
mod training;
