//! Multiplies matrices on a GPU, with what belongs before and after a product.

#![allow(unsafe_code, reason = "the product's kernel is launched unchecked, after shapes were compared with lengths")]
#![allow(clippy::too_many_arguments, reason = "each array of a kernel is an argument")]
#![allow(clippy::collapsible_if, reason = "what is known when a kernel is compiled is asked by itself")]

use crate::{
    gpu::{Gpu, Numbers, Rows},
    op::activation::{
        Activation,
        gpu::{Mask, activate, derivative},
    },
};
use cubecl::prelude::*;

/// How a product is cut: a cube of `ty` by `tx` threads computes a tile, of which each thread has `tm` rows and `tn`
/// columns, and goes through the depth by steps of `depth`, a multiple of 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tile {
    pub(crate) ty: u32,
    pub(crate) tx: u32,
    pub(crate) tm: u32,
    pub(crate) tn: u32,
    pub(crate) depth: u32,
}

/// What kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct How {
    tile: Tile,
    /// Whether the first matrix is given transposed, `[depth, m]`.
    a_transposed: bool,
    /// Whether the second matrix is given transposed, `[n, depth]`.
    b_transposed: bool,
    starts: bool,
    keeps: bool,
    activation: Option<Activation>,
    derivative: Option<Activation>,
    masked: bool,
    adds: bool,
    sums: bool,
}

/// The sizes of a product, and how far rows of its arrays are apart.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sizes {
    m: usize,
    n: usize,
    depth: usize,
    a_stride: usize,
    b_stride: usize,
    start_stride: usize,
    /// How many rows each row of the start is for.
    repeat: usize,
    mask_stride: usize,
    mask_first: usize,
    /// The part of the depth that cubes with one place along z go through, and how far apart their outputs are.
    depth_of_part: usize,
    part_stride: usize,
}

/// What a product is added to: an array with `stride` numbers in a row, each row of which is for `repeat` rows. A bias
/// is one row for all of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start<'a> {
    values: &'a Numbers,
    stride: usize,
    repeat: usize,
}

impl<'a> Start<'a> {
    pub(crate) fn new(values: &'a Numbers, stride: usize, repeat: usize) -> Self {
        Self { values, stride, repeat }
    }

    /// A row for each row.
    pub(crate) fn of_rows(rows: &'a Rows) -> Self {
        Self::new(&rows.values, rows.width, 1)
    }
}

/// What is done with each number of a product, in this order.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Then<'a> {
    pub(crate) start: Option<Start<'a>>,
    /// Where the sum is kept.
    pub(crate) keep: Option<&'a Numbers>,
    pub(crate) activation: Option<Activation>,
    /// The activation by whose derivative it is multiplied, and its inputs.
    pub(crate) derivative: Option<(Activation, &'a Numbers)>,
    /// What it is multiplied by.
    pub(crate) mask: Option<Mask<'a>>,
    /// What is added in the end.
    pub(crate) add: Option<&'a Numbers>,
}

/// The second matrix of a product: numbers of a row, and whether it is given transposed.
struct Second<'a> {
    values: &'a Numbers,
    stride: usize,
    transposed: bool,
}

impl Gpu {
    /// x W, and then.
    pub(crate) fn forward(&self, x: &Rows, weight: &Numbers, out: &Rows, then: Then<'_>) {
        assert_eq!((x.rows, x.width * out.width <= weight.len), (out.rows, true), "rows and weights of a layer");
        self.product(x, Second { values: weight, stride: out.width, transposed: false }, out, then);
    }

    /// x Wᵀ, and then: from gradients of a layer's sums to those of its inputs.
    pub(crate) fn backward(&self, grad_sums: &Rows, weight: &Numbers, grad_input: &Rows, then: Then<'_>) {
        let depth = grad_sums.width;
        assert_eq!(
            (grad_sums.rows, depth * grad_input.width <= weight.len),
            (grad_input.rows, true),
            "rows and weights"
        );
        self.product(grad_sums, Second { values: weight, stride: depth, transposed: true }, grad_input, then);
    }

    fn product(&self, a: &Rows, b: Second<'_>, out: &Rows, then: Then<'_>) {
        let tile = self.tile(out.rows, out.width);
        let how = How {
            tile,
            a_transposed: false,
            b_transposed: b.transposed,
            starts: then.start.is_some(),
            keeps: then.keep.is_some(),
            activation: then.activation,
            derivative: then.derivative.map(|(activation, _)| activation),
            masked: then.mask.is_some(),
            adds: then.add.is_some(),
            sums: false,
        };
        let none = &out.values;
        let start = then.start.unwrap_or(Start::new(none, 0, 1));
        let mask = then.mask.unwrap_or(Mask { values: none, stride: 0, first: 0 });
        let (_, input) = then.derivative.unwrap_or((Activation::Relu, none));
        let sizes = SizesLaunch {
            m: out.rows,
            n: out.width,
            depth: a.width,
            a_stride: a.width,
            b_stride: b.stride,
            start_stride: start.stride,
            repeat: start.repeat.max(1),
            mask_stride: mask.stride,
            mask_first: mask.first,
            depth_of_part: a.width,
            part_stride: 0,
        };
        // SAFETY: the shapes were compared with the lengths.
        unsafe {
            product::launch_unchecked(
                &self.client,
                tile.count(out.rows, out.width, 1),
                tile.threads(),
                a.values.arg(),
                b.values.arg(),
                start.values.arg(),
                input.arg(),
                mask.values.arg(),
                then.add.unwrap_or(none).arg(),
                out.values.arg(),
                then.keep.unwrap_or(none).arg(),
                none.arg(),
                sizes,
                how,
            );
        }
    }

    /// The gradients of a layer's weights, xᵀ grad_sums, and of its bias, the sums of the rows of `grad_sums`: of each
    /// of so many parts of the rows, which follow one another by `stride` numbers in both arrays.
    pub(crate) fn weight_gradients(
        &self,
        [x, grad_sums]: [&Rows; 2],
        grad_weight: &Numbers,
        grad_bias: Option<&Numbers>,
        (parts, stride): (usize, usize),
    ) {
        assert_eq!(x.rows, grad_sums.rows, "rows of a layer's input and output");
        let [ty, tx] = self.side;
        let (tm, tn) = (4, if grad_sums.width <= tx as usize { 1 } else { 4 });
        let tile = Tile { ty, tx, tm, tn, depth: 32 };
        let how = How {
            tile,
            a_transposed: true,
            b_transposed: false,
            starts: false,
            keeps: false,
            activation: None,
            derivative: None,
            masked: false,
            adds: false,
            sums: grad_bias.is_some(),
        };
        let sizes = SizesLaunch {
            m: x.width,
            n: grad_sums.width,
            depth: x.rows,
            a_stride: x.width,
            b_stride: grad_sums.width,
            start_stride: 0,
            repeat: 1,
            mask_stride: 0,
            mask_first: 0,
            depth_of_part: x.rows.div_ceil(parts),
            part_stride: stride,
        };
        // SAFETY: the shapes were compared with the lengths.
        unsafe {
            product::launch_unchecked(
                &self.client,
                // Where the layer sees nothing, its biases have gradients nonetheless.
                tile.count(x.width.max(1), grad_sums.width, parts),
                tile.threads(),
                x.values.arg(),
                grad_sums.values.arg(),
                grad_weight.arg(),
                grad_weight.arg(),
                grad_weight.arg(),
                grad_weight.arg(),
                grad_weight.arg(),
                grad_weight.arg(),
                grad_bias.unwrap_or(grad_weight).arg(),
                sizes,
                how,
            );
        }
    }
}

impl Tile {
    fn count(self, m: usize, n: usize, parts: usize) -> CubeCount {
        let (rows, columns) = (self.ty * self.tm, self.tx * self.tn);
        CubeCount::Static(m.div_ceil(rows as usize) as u32, n.div_ceil(columns as usize) as u32, parts as u32)
    }

    fn threads(self) -> CubeDim {
        CubeDim::new_1d(self.ty * self.tx)
    }
}

/// The row of a tile that is a thread's number i, of those in its first 4 rows or of those further down.
#[cube]
fn row_of(y: usize, i: usize, #[comptime] how: How) -> usize {
    let ty = comptime!(how.tile.ty as usize);
    if comptime!(how.a_transposed) { y * 4 + i % 4 + i / 4 * (ty * 4) } else { y + i * ty }
}

/// out = a b, from `start` on. Cubes along z have parts of the depth.
#[cube(launch_unchecked)]
fn product(
    a: &[f32],
    b: &[f32],
    start: &[f32],
    input: &[f32],
    mask: &[f32],
    add: &[f32],
    out: &mut [f32],
    kept: &mut [f32],
    sums: &mut [f32],
    sizes: Sizes,
    #[comptime] how: How,
) {
    let (m, n) = (sizes.m, sizes.n);
    let tile = comptime!(how.tile);
    let (ty, tx) = comptime!((tile.ty as usize, tile.tx as usize));
    let (tm, tn, step) = comptime!((tile.tm as usize, tile.tn as usize, tile.depth as usize));
    let (rows, columns, threads) = comptime!((ty * tm, tx * tn, ty * tx));
    // Rows of the tiles are 4 numbers longer, so that threads beside one another are in different banks.
    let a_row = comptime!(if how.a_transposed { rows + 4 } else { step + 4 });
    let a_rows = comptime!(if how.a_transposed { step } else { rows });
    let b_row = comptime!(columns + 4);
    let mut a_tile = Shared::<[f32]>::new_aligned_slice(comptime!(a_row * a_rows), 16usize);
    let mut b_tile = Shared::<[f32]>::new_aligned_slice(comptime!(b_row * step), 16usize);

    let thread = UNIT_POS as usize;
    let x = thread % tx;
    let y = thread / tx;
    let m0 = CUBE_POS_X as usize * rows;
    let n0 = CUBE_POS_Y as usize * columns;
    let part = CUBE_POS_Z as usize;
    let mut k0 = part * sizes.depth_of_part;
    let mut end = k0 + sizes.depth_of_part;
    if end > sizes.depth {
        end = sizes.depth;
    }

    let mut acc = Array::<f32>::new(comptime!(tm * tn));
    #[unroll]
    for i in 0..comptime!(tm * tn) {
        acc[i] = 0.0f32;
    }
    let mut column = Array::<f32>::new(tn);
    #[unroll]
    for j in 0..tn {
        column[j] = 0.0f32;
    }

    while k0 < end {
        #[unroll]
        for i in 0..comptime!(rows * step / threads) {
            let e = thread + comptime!(i * threads);
            let mut value = 0.0f32;
            if comptime!(how.a_transposed) {
                let (k, r) = (e / rows, e % rows);
                if k0 + k < end && m0 + r < m {
                    value = a[(k0 + k) * sizes.a_stride + m0 + r];
                }
                a_tile[k * a_row + r] = value;
            } else {
                let (r, k) = (e / step, e % step);
                if k0 + k < end && m0 + r < m {
                    value = a[(m0 + r) * sizes.a_stride + k0 + k];
                }
                a_tile[r * a_row + k] = value;
            }
        }
        #[unroll]
        for i in 0..comptime!(columns * step / threads) {
            let e = thread + comptime!(i * threads);
            let mut value = 0.0f32;
            if comptime!(how.b_transposed) {
                let (c, k) = (e / step, e % step);
                if k0 + k < end && n0 + c < n {
                    value = b[(n0 + c) * sizes.b_stride + k0 + k];
                }
                b_tile[k * b_row + c] = value;
            } else {
                let (k, c) = (e / columns, e % columns);
                if k0 + k < end && n0 + c < n {
                    value = b[(k0 + k) * sizes.b_stride + n0 + c];
                }
                b_tile[k * b_row + c] = value;
            }
        }
        sync_cube();
        for q in 0..comptime!(step / 4) {
            let mut a_part = Array::<f32>::new(comptime!(tm * 4));
            #[unroll]
            for i in 0..tm {
                #[unroll]
                for k in 0..4usize {
                    let row = row_of(y, i, how);
                    let at =
                        if comptime!(how.a_transposed) { (q * 4 + k) * a_row + row } else { row * a_row + q * 4 + k };
                    a_part[comptime!(i * 4 + k)] = a_tile[at];
                }
            }
            #[unroll]
            for k in 0..4usize {
                let mut b_part = Array::<f32>::new(tn);
                #[unroll]
                for j in 0..tn {
                    b_part[j] = b_tile[(q * 4 + k) * b_row + x * tn + j];
                }
                if comptime!(how.sums) {
                    if y == 0 {
                        #[unroll]
                        for j in 0..tn {
                            column[j] += b_part[j];
                        }
                    }
                }
                #[unroll]
                for i in 0..tm {
                    #[unroll]
                    for j in 0..tn {
                        let sum = comptime!(i * tn + j);
                        acc[sum] = fma(a_part[comptime!(i * 4 + k)], b_part[j], acc[sum]);
                    }
                }
            }
        }
        sync_cube();
        k0 += step;
    }

    #[unroll]
    for i in 0..tm {
        let r = m0 + row_of(y, i, how);
        if r < m {
            #[unroll]
            for j in 0..tn {
                let c = n0 + x * tn + j;
                if c < n {
                    let at = r * n + c;
                    let mut value = acc[comptime!(i * tn + j)];
                    if comptime!(how.starts) {
                        value += start[r / sizes.repeat * sizes.start_stride + c];
                    }
                    if comptime!(how.keeps) {
                        kept[at] = value;
                    }
                    if comptime!(how.activation.is_some()) {
                        value = activate(value, comptime!(how.activation.unwrap_or(Activation::Relu)));
                    }
                    if comptime!(how.masked) {
                        value *= mask[r * sizes.mask_stride + sizes.mask_first + c];
                    }
                    if comptime!(how.derivative.is_some()) {
                        value = derivative(value, input[at], comptime!(how.derivative.unwrap_or(Activation::Relu)));
                    }
                    if comptime!(how.adds) {
                        value += add[at];
                    }
                    out[part * sizes.part_stride + at] = value;
                }
            }
        }
    }
    if comptime!(how.sums) {
        if y == 0 && m0 == 0 {
            #[unroll]
            for j in 0..tn {
                let c = n0 + x * tn + j;
                if c < n {
                    sums[part * sizes.part_stride + c] = column[j];
                }
            }
        }
    }
}
