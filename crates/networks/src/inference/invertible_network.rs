//! Chains coupling layers into a conditional invertible network.

use crate::{
    ActNormConfig, AffineConfig, AffineNets, Bijection, ConfigError, CouplingConfig, CouplingLayer, DenseNetConfig,
    ParameterInit, Pass, PermutationConfig, SeparateNets, SplineConfig,
    inference::{check_condition, repeated},
    pass::constant,
};
use bayesburn_core::settings::{at_least_one, in_range};
#[cfg(feature = "flex")]
use bayesburn_kernels::{Flow, FlowKernel, InverseFlow, Operands, Part, has_kernels, run, runs_on};
use burn::{config::Config, module::Module, tensor::Tensor};

/// Which transforms the layers use.
#[derive(Config, Debug, PartialEq)]
pub enum CouplingDesign {
    /// Affine in every layer: fast, and enough for posteriors near a normal.
    Affine(AffineConfig),
    /// Splines in every layer: for skewed, bounded or multimodal posteriors of few dimensions.
    Spline(SplineConfig),
    /// Affine and spline layers in turn, beginning with affine.
    Interleaved(InterleavedConfig),
}

/// The two transforms of an interleaved design.
#[derive(Config, Debug, PartialEq)]
pub struct InterleavedConfig {
    /// Layers 1, 3, 5 …
    #[config(default = "AffineConfig::new()")]
    pub affine: AffineConfig,
    /// Layers 2, 4, 6 …
    #[config(default = "SplineConfig::new()")]
    pub spline: SplineConfig,
}

/// SoftFlow (Kim et al. 2020): in training, each target is blurred by normal noise whose standard deviation, drawn
/// uniformly for each row, is part of the condition. For posteriors on a surface of fewer dimensions.
#[derive(Config, Debug, PartialEq)]
pub struct SoftFlowConfig {
    /// Smallest standard deviation, above 0; also what density and draws are conditioned on.
    #[config(default = 1e-3)]
    pub min: f64,
    /// Largest standard deviation.
    #[config(default = 5e-2)]
    pub max: f64,
}

/// Configuration of an [`InvertibleNetwork`].
#[derive(Config, Debug, PartialEq)]
pub struct InvertibleNetworkConfig {
    /// Number of coupling layers, at least 1.
    #[config(default = 6)]
    pub num_coupling_layers: usize,
    /// The layers' transforms.
    #[config(default = "CouplingDesign::Affine(AffineConfig::new())")]
    pub coupling: CouplingDesign,
    /// How dimensions are mixed before each coupling.
    #[config(default = "PermutationConfig::Fixed")]
    pub permutation: PermutationConfig,
    /// Whether each layer begins with activation normalisation, and with which constants.
    #[config(default = "ActNormConfig::Identity")]
    pub act_norm: ActNormConfig,
    /// SoftFlow noise, or none.
    #[config(default = "None")]
    pub soft_flow: Option<SoftFlowConfig>,
}

impl InvertibleNetworkConfig {
    /// The network of BayesFlow v1, layer for layer: affine couplings with separate scale and translation networks of
    /// two hidden layers of 128 units, soft clamping at 1.9, fixed permutations, activation normalisation. Without v1's
    /// default dropout (0.05) and weight penalty (1e-4), which its tutorial turns off for online training.
    #[must_use]
    pub fn bayesflow_v1() -> Self {
        let nets = AffineNets::Separate(SeparateNets::new(DenseNetConfig::new(), DenseNetConfig::new()));
        Self::new().with_coupling(CouplingDesign::Affine(AffineConfig::new().with_nets(nets)))
    }

    /// A neural spline flow (Durkan et al. 2019) of the size that sbi and its benchmark use: 5 layers of splines with
    /// 10 bins, by networks of two hidden layers of 50 units. For any posterior, of few simulations.
    ///
    /// Both halves change in each layer; outside the bins the spline goes on as a line.
    #[must_use]
    pub fn neural_spline_flow() -> Self {
        let net = DenseNetConfig::new().with_units(50).with_shortcut(true);
        let spline = SplineConfig::new().with_bins(10).with_net(net);
        Self::new().with_num_coupling_layers(5).with_coupling(CouplingDesign::Spline(spline))
    }

    /// Sets the dropout of all networks inside the coupling layers.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        let set_affine = |affine: &mut AffineConfig| match &mut affine.nets {
            AffineNets::Shared(net) => net.dropout = dropout,
            AffineNets::Separate(nets) => (nets.scale.dropout, nets.translation.dropout) = (dropout, dropout),
        };
        match &mut self.coupling {
            CouplingDesign::Affine(affine) => set_affine(affine),
            CouplingDesign::Spline(spline) => spline.net.dropout = dropout,
            CouplingDesign::Interleaved(both) => {
                set_affine(&mut both.affine);
                both.spline.net.dropout = dropout;
            }
        }
        self
    }

    /// Whether units are dropped in training and not at inference.
    #[must_use]
    pub fn has_dropout(&self) -> bool {
        let affine = |affine: &AffineConfig| match &affine.nets {
            AffineNets::Shared(net) => net.has_dropout(),
            AffineNets::Separate(nets) => nets.scale.has_dropout() || nets.translation.has_dropout(),
        };
        match &self.coupling {
            CouplingDesign::Affine(design) => affine(design),
            CouplingDesign::Spline(design) => design.net.has_dropout(),
            CouplingDesign::Interleaved(both) => affine(&both.affine) || both.spline.net.has_dropout(),
        }
    }

    /// A network for `dim` targets given `condition_dim` numbers (0: unconditional).
    ///
    /// # Errors
    /// A setting outside its range, or one dimension without a condition.
    pub fn init(
        &self,
        dim: usize,
        condition_dim: usize,
        init: &mut ParameterInit,
    ) -> Result<InvertibleNetwork, ConfigError> {
        at_least_one("num_coupling_layers", self.num_coupling_layers)?;
        at_least_one("dim", dim)?;
        if let Some(soft_flow) = &self.soft_flow {
            in_range(soft_flow.min > 0.0, "soft_flow.min", "above 0", soft_flow.min)?;
            let above_min = soft_flow.max >= soft_flow.min && soft_flow.max.is_finite();
            in_range(above_min, "soft_flow.max", "at least soft_flow.min", soft_flow.max)?;
        }
        let given = condition_dim;
        let condition_dim = given + usize::from(self.soft_flow.is_some());
        let layers = (0..self.num_coupling_layers)
            .map(|i| {
                let coupling = match &self.coupling {
                    CouplingDesign::Affine(affine) => CouplingConfig::Affine(affine.clone()),
                    CouplingDesign::Spline(spline) => CouplingConfig::Spline(spline.clone()),
                    CouplingDesign::Interleaved(both) if i % 2 == 0 => CouplingConfig::Affine(both.affine.clone()),
                    CouplingDesign::Interleaved(both) => CouplingConfig::Spline(both.spline.clone()),
                };
                CouplingLayer::new(dim, condition_dim, &coupling, self.permutation, self.act_norm, init)
            })
            .collect::<Result<_, _>>()?;
        Ok(InvertibleNetwork { layers, soft_flow: self.soft_flow.clone(), dim, condition_dim: given })
    }
}

/// A conditional invertible neural network (Ardizzone et al. 2019): targets to latents and back, given a condition.
#[derive(Module, Debug)]
pub struct InvertibleNetwork {
    layers: Vec<CouplingLayer>,
    #[module(skip)]
    soft_flow: Option<SoftFlowConfig>,
    #[module(skip)]
    dim: usize,
    #[module(skip)]
    condition_dim: usize,
}

impl InvertibleNetwork {
    /// Initialises each layer's activation normalisation from what reaches it when these targets and conditions pass
    /// through (Kingma & Dhariwal 2018, section 3.1).
    #[must_use]
    pub fn initialise_act_norm(mut self, targets: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> Self {
        let [rows, _] = targets.dims();
        let condition = self.with_noise_scale(&targets, condition, None).map(|condition| repeated(condition, rows));
        let mut x = targets;
        for layer in &mut self.layers {
            layer.act_norm = layer.act_norm.take().map(|act_norm| act_norm.normalising(x.clone()));
            x = layer.forward(x, condition.clone(), pass).0;
        }
        self
    }

    fn check_shapes(&self, x: &Tensor<2>, condition: Option<&Tensor<2>>) {
        let [rows, dim] = x.dims();
        assert_eq!(dim, self.dim, "targets or latents of {dim} dimensions for a network of {}", self.dim);
        check_condition(condition.map_or([rows, 0], |condition| condition.dims()), self.condition_dim, rows);
    }

    /// Appends SoftFlow's noise scale, `[B, 1]`, to the condition: the given one, or the smallest.
    fn with_noise_scale(
        &self,
        like: &Tensor<2>,
        condition: Option<Tensor<2>>,
        scale: Option<Tensor<2>>,
    ) -> Option<Tensor<2>> {
        let Some(soft_flow) = &self.soft_flow else { return condition };
        let rows = condition.as_ref().map_or(like.dims()[0], |condition| condition.dims()[0]);
        let scale = scale.unwrap_or_else(|| constant(vec![soft_flow.min as f32; rows], [rows, 1], like));
        Some(match condition {
            Some(condition) => Tensor::cat(vec![condition, scale], 1),
            None => scale,
        })
    }
}

#[cfg(feature = "flex")]
impl InvertibleNetwork {
    /// The layers as operations, each of as many layers as have no more operands than this; `None` if kernels cannot do
    /// what they do.
    fn flows(
        &self,
        like: &Tensor<2>,
        condition_dim: usize,
        pass: &Pass,
        most_operands: usize,
    ) -> Option<Vec<Part<Flow>>> {
        if !pass.uses_kernels() || !has_kernels(like) {
            return None;
        }
        // The masks of dropped units are one operand more.
        let fits = |operands: &Operands| {
            operands.len().saturating_add(usize::from(!operands.dropped().is_empty())) <= most_operands
        };
        let mut flows = vec![(Vec::new(), Operands::default())];
        for layer in &self.layers {
            let (layers, operands) = flows.last_mut().expect("there is one");
            let there = operands.mark();
            let kernel = layer.kernel(condition_dim, pass, operands)?;
            if fits(operands) {
                layers.push(kernel);
                continue;
            }
            operands.truncate(there);
            let mut operands = Operands::default();
            let layers = vec![layer.kernel(condition_dim, pass, &mut operands)?];
            if !fits(&operands) {
                return None;
            }
            flows.push((layers, operands));
        }
        let parts = flows.into_iter().map(|(layers, operands)| {
            let dropout_dim = operands.dropped().iter().map(|(_, units)| units).sum();
            Part { operation: Flow { layers, dim: self.dim, condition_dim, dropout_dim }, operands }
        });
        Some(parts.collect())
    }

    /// The layers as operations of Burn's graph, on rows like these and a condition.
    fn flows_in_graph(&self, rows: &Tensor<2>, condition: Option<&Tensor<2>>, pass: &Pass) -> Option<Vec<Part<Flow>>> {
        let condition_dim = condition.map_or(0, |condition| condition.dims()[1]);
        self.flows(rows, condition_dim, pass, Operands::MOST - 1 - usize::from(condition.is_some()))
    }

    fn forward_by_kernels(
        &self,
        targets: &Tensor<2>,
        condition: Option<&Tensor<2>>,
        pass: &mut Pass,
    ) -> Option<(Tensor<2>, Tensor<1>)> {
        if !runs_on(targets) {
            return None;
        }
        let [rows, dim] = targets.dims();
        let mut log_det: Option<Tensor<1>> = None;
        let mut z = targets.clone();
        for Part { operation: flow, mut operands } in self.flows_in_graph(targets, condition, pass)? {
            let dropout = (flow.dropout_dim > 0).then(|| {
                let masks = pass.dropout_masks(operands.dropped(), rows);
                operands.push(constant(masks, [rows, flow.dropout_dim], targets))
            });
            let (z_place, condition) = (operands.push(z), condition.map(|condition| operands.push(condition.clone())));
            let both = run(FlowKernel { flow, targets: z_place, condition, dropout }, operands);
            z = both.clone().narrow(1, 0, dim);
            let this = both.narrow(1, dim, 1).reshape([rows]);
            log_det = Some(match log_det {
                Some(sum) => sum + this,
                None => this,
            });
        }
        Some((z, log_det?))
    }

    /// Where there are no gradients: the kernel of the inverse has none.
    fn inverse_by_kernels(&self, latents: &Tensor<2>, condition: Option<&Tensor<2>>, pass: &Pass) -> Option<Tensor<2>> {
        if latents.device().is_autodiff() || !runs_on(latents) {
            return None;
        }
        let flows = self.flows_in_graph(latents, condition, pass)?;
        // Units are dropped in training, where nothing is inverted.
        if flows.iter().any(|flow| flow.operation.dropout_dim > 0) {
            return None;
        }
        Some(flows.into_iter().rev().fold(latents.clone(), |x, Part { operation: flow, mut operands }| {
            let (targets, condition) = (operands.push(x), condition.map(|condition| operands.push(condition.clone())));
            run(InverseFlow(FlowKernel { flow, targets, condition, dropout: None }), operands)
        }))
    }
}

/// The condition `[M, C]` may have fewer rows than targets or latents `[B, D]`: each then belongs to B / M of them that
/// follow one another, and what depends on it alone is computed once.
impl Bijection for InvertibleNetwork {
    fn normalised(self, targets: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> Self {
        self.initialise_act_norm(targets, condition, pass)
    }

    #[cfg(feature = "flex")]
    fn flow(&self, like: &Tensor<2>, pass: &Pass) -> Option<Part<Flow>> {
        if self.soft_flow.is_some() {
            return None;
        }
        self.flows(like, self.condition_dim, pass, usize::MAX)?.pop()
    }

    /// Targets to latents. In a training pass with SoftFlow, the targets are blurred first; at inference they are not,
    /// so that densities are deterministic (BayesFlow v1 blurs there too).
    fn forward(&self, targets: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> (Tensor<2>, Tensor<1>) {
        self.check_shapes(&targets, condition.as_ref());
        let [rows, dim] = targets.dims();
        let (z, condition) = match &self.soft_flow {
            Some(soft_flow) if pass.is_training() => {
                let scale = pass.uniform([rows, 1], (soft_flow.min as f32, soft_flow.max as f32), &targets);
                let noise = pass.normal([rows, dim], &targets) * scale.clone();
                let condition =
                    self.with_noise_scale(&targets, condition.map(|condition| repeated(condition, rows)), Some(scale));
                (targets + noise, condition)
            }
            _ => {
                let condition = self.with_noise_scale(&targets, condition, None);
                (targets, condition)
            }
        };
        #[cfg(feature = "flex")]
        if let Some(result) = self.forward_by_kernels(&z, condition.as_ref(), pass) {
            return result;
        }
        self.layers.forward(z, condition.map(|condition| repeated(condition, rows)), pass)
    }

    fn inverse(&self, latents: Tensor<2>, condition: Option<Tensor<2>>, pass: &mut Pass) -> Tensor<2> {
        self.check_shapes(&latents, condition.as_ref());
        let condition = self.with_noise_scale(&latents, condition, None);
        #[cfg(feature = "flex")]
        if let Some(targets) = self.inverse_by_kernels(&latents, condition.as_ref(), pass) {
            return targets;
        }
        let condition = condition.map(|condition| repeated(condition, latents.dims()[0]));
        self.layers.inverse(latents, condition, pass)
    }
}
