//! Copies data to summaries on the processor.

use super::IdentitySummary;
use crate::{
    gradients::Gradients,
    memory::Buffer,
    plan::{SummaryBlock, SummaryOperation},
};

impl SummaryOperation for IdentitySummary {
    type Tape = Buffer;

    fn summary_dim(&self) -> usize {
        self.features
    }

    fn forward_block(&self, block: &SummaryBlock<'_>) -> Buffer {
        let [data] = block.inputs else { panic!("{} inputs where one is expected", block.inputs.len()) };
        let features: usize = data.shape.iter().product();
        assert_eq!(features, self.features, "features of data sets of one observation, or of vectors");
        Buffer::copy_of(data.values)
    }

    fn output<'t>(&self, tape: &'t Buffer) -> &'t [f32] {
        tape
    }

    fn backward_block(
        &self,
        block: &SummaryBlock<'_>,
        _tape: &Buffer,
        grad_output: &[f32],
        _gradients: &mut Gradients<'_>,
    ) -> Vec<Option<Buffer>> {
        block.wanted.iter().map(|wanted| wanted.then(|| Buffer::copy_of(grad_output))).collect()
    }

    #[cfg(feature = "gpu")]
    fn on_gpu(&self) -> Option<&dyn crate::plan::gpu::GpuSummary> {
        Some(self)
    }
}
