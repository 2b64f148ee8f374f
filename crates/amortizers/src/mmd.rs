//! Measures how far a sample is from a standard normal one.

use burn::tensor::Tensor;

/// Bandwidths 2σ of the kernel's terms exp(−‖x − y‖² / (2σ)), those of BayesFlow v1.
const SIGMAS: [f64; 19] =
    [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 100.0, 1e3, 1e4, 1e5, 1e6];

/// The squared maximum mean discrepancy (Gretton et al. 2012, eq. 5, biased) between the rows of x and y, not below 0;
/// `[1]`.
pub(crate) fn squared_mmd(x: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
    let kernel = |a: Tensor<2>, b: Tensor<2>| {
        let distance = squared_distances(a, b);
        let terms = SIGMAS.map(|sigma| distance.clone().mul_scalar(-0.5 / sigma).exp().mean());
        terms.into_iter().reduce(|sum, term| sum + term).expect("there are 19 bandwidths")
    };
    let cross = kernel(x.clone(), y.clone()).mul_scalar(2.0);
    (kernel(x.clone(), x) + kernel(y.clone(), y) - cross).clamp_min(0.0)
}

/// ‖a_i − b_j‖², `[n, m]`, by the differences themselves: ‖a‖² + ‖b‖² − 2 a·b is off by 1e-6 in f32, which the
/// narrowest kernels would take for a distance.
fn squared_distances(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let ([n, width], [m, _]) = (a.dims(), b.dims());
    let differences = a.reshape([n, 1, width]) - b.reshape([1, m, width]);
    differences.square().sum_dim(2).reshape([n, m])
}

#[cfg(test)]
mod tests {
    use super::*;
    use bayesburn_networks::Pass;
    use burn::tensor::Device;

    /// Two single points at squared distance 4: k(x, x) + k(y, y) − 2 k(x, y) = 2 · 19 − 2 Σ exp(−2/σ).
    #[test]
    fn two_points_match_the_closed_form() {
        let device = Device::default();
        let x = Tensor::<2>::from_data([[1.0, 2.0]], &device);
        let y = Tensor::<2>::from_data([[1.0, 4.0]], &device);
        let expected = 38.0 - 2.0 * SIGMAS.iter().map(|sigma| (-2.0 / sigma).exp()).sum::<f64>();
        let got: f32 = squared_mmd(x, y).into_scalar();
        assert!((f64::from(got) - expected).abs() < 1e-4, "{got} against {expected}");
    }

    /// A sample is at no distance from itself, also where its squared norms are far above the narrowest bandwidth.
    #[test]
    fn a_sample_is_at_no_distance_from_itself() {
        let x = Pass::inference(3).normal([32, 10], &Tensor::zeros([1, 1], &Device::default())).mul_scalar(100.0);
        assert_eq!(squared_mmd(x.clone(), x.clone()).into_scalar::<f32>(), 0.0);
        assert!(squared_mmd(x.clone(), x.add_scalar(50.0)).into_scalar::<f32>() > 0.1);
    }
}
