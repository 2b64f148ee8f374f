//! Composes bijections: one after the other, they are a bijection again.

use crate::{Bijection, Pass};
use burn::tensor::Tensor;

/// One link of a chain: any bijection, or a part of a module that maps like one.
pub(crate) trait Link {
    /// As [`Bijection::forward`].
    fn forward(&self, x: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> (Tensor<2>, Tensor<1>);

    /// As [`Bijection::inverse`].
    fn inverse(&self, z: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> Tensor<2>;
}

impl<B: Bijection> Link for B {
    fn forward(&self, x: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> (Tensor<2>, Tensor<1>) {
        Bijection::forward(self, x, condition, pass)
    }

    fn inverse(&self, z: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> Tensor<2> {
        Bijection::inverse(self, z, condition, pass)
    }
}

/// Bijections one after the other, the first one first. Each gets the same condition, and log-determinants are added in
/// order.
impl<B: Bijection> Bijection for Vec<B> {
    fn forward(&self, targets: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> (Tensor<2>, Tensor<1>) {
        forward(self.iter().map(|link| link as &dyn Link), targets, condition, pass)
    }

    fn inverse(&self, latents: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> Tensor<2> {
        inverse(self.iter().map(|link| link as &dyn Link), latents, condition, pass)
    }
}

/// Maps targets to latents through all links.
pub(crate) fn forward<'a>(
    links: impl Iterator<Item = &'a dyn Link>,
    targets: Tensor<2>,
    condition: Option<Tensor<2>>,
    pass: &mut Pass,
) -> (Tensor<2>, Tensor<1>) {
    let (mut z, mut log_det) = (targets, None);
    for link in links {
        let (out, this) = link.forward(z, condition.clone(), pass);
        (z, log_det) = (out, Some(add(log_det, this)));
    }
    let log_det = log_det.unwrap_or_else(|| Tensor::zeros([z.dims()[0]], (&z.device(), z.dtype())));
    (z, log_det)
}

/// Maps latents to targets through all links, the last one first.
pub(crate) fn inverse<'a>(
    links: impl DoubleEndedIterator<Item = &'a dyn Link>,
    latents: Tensor<2>,
    condition: Option<Tensor<2>>,
    pass: &mut Pass,
) -> Tensor<2> {
    links.rev().fold(latents, |x, link| link.inverse(x, condition.clone(), pass))
}

/// The sum of log-determinants, which begins with the first of them.
pub(crate) fn add(sum: Option<Tensor<1>>, term: Tensor<1>) -> Tensor<1> {
    match sum {
        Some(sum) => sum + term,
        None => term,
    }
}
