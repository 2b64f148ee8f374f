//! Times the bare arithmetic of the v1 networks, by hand, and beside it the training that does the same: what share of
//! what a machine can do does a step reach?
//!
//! `cargo bench --bench limit`, on two cores. The bound is every dense layer forward (product, bias, ReLU) and backward
//! (mask, bias gradient, both products), one pass of Adam on one thread, and nothing else: no autodiff graph, no
//! allocation, no coupling, no loss, no simulation. The batch is split by hand over two threads that never wait for
//! each other.

#![allow(clippy::print_stdout, reason = "a program that measures")]
#![allow(unsafe_code, reason = "`gemm` takes pointers")]

use benchmarks::{Architecture, Setting, median};
use gemm::{Parallelism, gemm};
use std::{
    thread,
    time::{Duration, Instant},
};

const STEPS: usize = 400;

/// Of the v1 networks.
const PARAMETERS: usize = 362_698;

/// A matrix with the strides of its (rows, columns).
type Matrix<'a> = (&'a [f32], [usize; 2]);

/// c = a·b for a `[m, k]` and b `[k, n]`.
fn product([m, k, n]: [usize; 3], c: &mut [f32], (a, [ar, ac]): Matrix<'_>, (b, [br, bc]): Matrix<'_>) {
    assert!(c.len() == m * n && a.len() == m * k && b.len() == k * n);
    assert!((m - 1) * ar + (k - 1) * ac < a.len() && (k - 1) * br + (n - 1) * bc < b.len());
    let (ar, ac, br, bc) = (ar as isize, ac as isize, br as isize, bc as isize);
    let (c, a, b) = (c.as_mut_ptr(), a.as_ptr(), b.as_ptr());
    // SAFETY: the largest offset into each slice is asserted to be in it, and c is borrowed for this call alone.
    unsafe {
        gemm(m, n, k, c, 1, n as isize, false, a, ac, ar, b, bc, br, 0.0, 1.0, false, false, false, Parallelism::None);
    }
}

/// A dense layer with ReLU, its input, output and gradients.
struct Dense {
    shape: [usize; 3],
    x: Vec<f32>,
    w: Vec<f32>,
    b: Vec<f32>,
    y: Vec<f32>,
    dx: Vec<f32>,
    dw: Vec<f32>,
    db: Vec<f32>,
    dy: Vec<f32>,
}

impl Dense {
    fn new([m, k, n]: [usize; 3]) -> Self {
        let fill = |len: usize| (0..len).map(|i| ((i * 7919 % 1000) as f32 / 1000.0 - 0.5) * 0.1).collect::<Vec<_>>();
        let (x, w, b, y) = (fill(m * k), fill(k * n), fill(n), fill(m * n));
        Dense { shape: [m, k, n], x, w, b, y, dx: fill(m * k), dw: fill(k * n), db: fill(n), dy: fill(m * n) }
    }

    fn forward(&mut self) {
        let [m, k, n] = self.shape;
        product([m, k, n], &mut self.y, (&self.x, [k, 1]), (&self.w, [n, 1]));
        for row in self.y.chunks_exact_mut(n) {
            for (y, b) in row.iter_mut().zip(&self.b) {
                *y = (*y + *b).max(0.0);
            }
        }
    }

    fn backward(&mut self) {
        let [m, k, n] = self.shape;
        self.db.fill(0.0);
        for (dy, y) in self.dy.chunks_exact_mut(n).zip(self.y.chunks_exact(n)) {
            for ((d, y), db) in dy.iter_mut().zip(y).zip(&mut self.db) {
                // 0.999 in place of 0: masked values must stay for the next step, and must not become denormal within
                // 400.
                *d = if *y > 0.0 { *d } else { *d * 0.999 };
                *db += *d;
            }
        }
        product([m, n, k], &mut self.dx, (&self.dy, [n, 1]), (&self.w, [1, n]));
        product([k, m, n], &mut self.dw, (&self.x, [1, k]), (&self.dy, [n, 1]));
    }
}

/// Seconds that a step takes where each thread has a batch of its own.
fn bound(threads: usize, batch: usize) -> f64 {
    let products = Setting::quickstart(Architecture::V1, batch).products();
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut layers: Vec<Dense> = products.iter().map(|shape| Dense::new(*shape)).collect();
                for _ in 0..STEPS {
                    layers.iter_mut().for_each(Dense::forward);
                    layers.iter_mut().rev().for_each(Dense::backward);
                }
            });
        }
    });
    start.elapsed().as_secs_f64() / STEPS as f64
}

/// Seconds that Adam takes for a step on one thread, with clipping by the global norm, as the training does it.
fn adam(parameters: usize) -> f64 {
    let (mut p, mut m, mut v) = (vec![0.1_f32; parameters], vec![0_f32; parameters], vec![0_f32; parameters]);
    let g = vec![0.01_f32; parameters];
    let start = Instant::now();
    for _ in 0..STEPS {
        let norm = g.chunks(1024).map(|c| c.iter().map(|x| x * x).sum::<f32>()).sum::<f32>().sqrt();
        let scale = 1.0 / norm.max(1.0);
        for (((p, m), v), g) in p.iter_mut().zip(&mut m).zip(&mut v).zip(&g) {
            let g = g * scale;
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            *p -= 1e-3 * *m / (v.sqrt() + 1e-8);
        }
    }
    std::hint::black_box(&p);
    start.elapsed().as_secs_f64() / STEPS as f64
}

fn main() {
    for (threads, batch) in [(1, 32), (2, 16), (1, 256), (2, 128)] {
        let (step, flops) =
            (bound(threads, batch), Setting::quickstart(Architecture::V1, batch).flops() * threads as f64);
        println!(
            "{threads} threads x batch {batch}: {:.2} ms a step, {:.0} MFLOP, {:.0} GFLOP/s",
            step * 1e3,
            flops / 1e6,
            flops / step / 1e9
        );
    }
    let v1 = Setting::quickstart(Architecture::V1, 32);
    println!("Adam with a global norm, one thread: {:.2} ms a step", adam(PARAMETERS) * 1e3);

    println!("\npair   bound: 2 x 16 and Adam   v1 training, batch 32   share of the bound");
    let mut rows = Vec::new();
    for pair in 1..=5 {
        let bound = (bound(2, 16) + adam(PARAMETERS)).recip();
        let training = v1.steps_per_second(Duration::from_secs(3));
        println!("{pair:>4}   {bound:>13.0} steps/s   {training:>14.0} steps/s   {:>17.1}%", 100.0 * training / bound);
        rows.push([bound, training, 100.0 * training / bound]);
    }
    let [bound, training, share] = [0, 1, 2].map(|i| median(&rows.iter().map(|row| row[i]).collect::<Vec<_>>()));
    println!("median {bound:>13.0} steps/s   {training:>14.0} steps/s   {share:>17.1}%");
}
