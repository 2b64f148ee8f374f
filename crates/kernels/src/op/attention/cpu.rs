//! Computes attention and its gradients on the processor.

use super::{Attention, Queries, heads::Heads};
use crate::{
    gradients::Gradients,
    memory::Buffer,
    op::{
        Arrays,
        chain::{
            RowLayer,
            cpu::{RowOperation, RowTape, Rows, backward, forward, output},
        },
    },
    vector::{add, sum_rows},
};

/// The values of a forward pass.
struct Kept {
    /// Learned rows, as often as there are data sets.
    learned: Option<Buffer>,
    query_layers: Vec<RowTape>,
    key_layers: Vec<RowTape>,
    /// Normalised queries before their scale, and the factors of the normalisation.
    norm: Option<(Buffer, (Buffer, Buffer))>,
    /// Queries, keys and values of all heads.
    heads: [Buffer; 3],
    probabilities: Buffer,
    /// The outputs of all heads.
    attended: Buffer,
}

impl Attention {
    fn query_layers(&self) -> &[RowLayer] {
        match &self.queries {
            Queries::Rows(layers) | Queries::Learned { layers, .. } => layers,
        }
    }

    /// The rows that attend, before their layers.
    fn query_rows<'a>(&self, x: Rows<'a>, learned: Option<&'a Buffer>) -> Rows<'a> {
        match (&self.queries, learned) {
            (Queries::Learned { number, .. }, Some(values)) => {
                let width = values.len() / (x.sets * number);
                Rows { sets: x.sets, axes: [*number, 1], width, values, mask: None }
            }
            _ => x,
        }
    }

    fn heads<'a>(&self, queries: Rows<'_>, keys: Rows<'a>) -> Heads<'a> {
        Heads { sets: keys.sets, heads: self.heads, queries: queries.n(), keys: keys.n(), mask: keys.mask }
    }
}

impl RowOperation for Attention {
    fn forward(&self, x: Rows<'_>, arrays: Arrays<'_>) -> RowTape {
        let learned = match self.queries {
            Queries::Learned { operand, .. } => {
                let rows = arrays.operands[operand];
                let mut all = Buffer::new(x.sets * rows.len());
                all.chunks_exact_mut(rows.len()).for_each(|set| set.copy_from_slice(rows));
                Some(all)
            }
            Queries::Rows(_) => None,
        };
        let query_rows = self.query_rows(x, learned.as_ref());
        let query_layers = forward(self.query_layers(), query_rows, arrays);
        let queries = output(query_rows, &query_layers);
        let key_layers = forward(&self.keys, x, arrays);
        let keys = output(x, &key_layers);
        let norm = self.query_norm.map(|norm| norm.rows(queries.values, queries.width, arrays));
        let normed = norm.as_ref().map_or(queries.values, |(normed, _)| normed);
        let [to_query, to_key, to_value, to_output] = &self.maps;
        let heads = [
            to_query.rows(normed, queries.width, arrays),
            to_key.rows(keys.values, keys.width, arrays),
            to_value.rows(keys.values, keys.width, arrays),
        ];
        let (attended, probabilities) = self.heads(queries, keys).forward(&heads[0], &heads[1], &heads[2]);
        let mut out = to_output.rows(&attended, to_value.units, arrays);
        add(&mut out, queries.values);
        let (sets, axes, mask) = (queries.sets, queries.axes, queries.mask.map(Buffer::copy_of));
        let kept = Kept { learned, query_layers, key_layers, norm, heads, probabilities, attended };
        RowTape::new(sets, axes, (out, mask), kept)
    }

    fn backward(
        &self,
        x: Rows<'_>,
        tape: &RowTape,
        grad_output: Buffer,
        wants_x: bool,
        (arrays, gradients): (Arrays<'_>, &mut Gradients<'_>),
    ) -> Option<Buffer> {
        let Kept { learned, query_layers, key_layers, norm, heads, probabilities, attended } = tape.inner();
        let query_rows = self.query_rows(x, learned.as_ref());
        let (queries, keys) = (output(query_rows, query_layers), output(x, key_layers));
        let [to_query, to_key, to_value, to_output] = &self.maps;

        let mut grad_attended = None;
        let rows = (&**attended, to_value.units);
        to_output.gradients(rows, &grad_output, Some(&mut grad_attended), (arrays, &mut *gradients));
        let grad_attended = grad_attended.expect("a gradient that was asked for");
        let [q, k, v] = heads;
        let [grad_q, grad_k, grad_v] = self.heads(queries, keys).backward([q, k, v], probabilities, &grad_attended);

        let wants_keys = wants_x || !self.keys.is_empty();
        let mut grad_keys = None;
        for (map, grad) in [(to_key, &grad_k), (to_value, &grad_v)] {
            let grad_keys = wants_keys.then_some(&mut grad_keys);
            map.gradients((keys.values, keys.width), grad, grad_keys, (arrays, &mut *gradients));
        }
        let grad_keys =
            grad_keys.and_then(|grad| backward(&self.keys, x, key_layers, grad, wants_x, (arrays, &mut *gradients)));

        let normed = norm.as_ref().map_or(queries.values, |(normed, _)| normed);
        let mut grad_normed = None;
        let rows = (normed, queries.width);
        to_query.gradients(rows, &grad_q, Some(&mut grad_normed), (arrays, &mut *gradients));
        let mut grad_queries = grad_normed.expect("a gradient that was asked for");
        if let (Some(query_norm), Some((_, kept))) = (&self.query_norm, norm) {
            query_norm.gradients(kept, &mut grad_queries, (arrays, &mut *gradients));
        }
        add(&mut grad_queries, &grad_output);
        let is_learned = learned.is_some();
        let pass = (arrays, &mut *gradients);
        let layers = self.query_layers();
        let grad_rows = backward(layers, query_rows, query_layers, grad_queries, wants_x || is_learned, pass);
        match (&self.queries, grad_rows, grad_keys) {
            (Queries::Learned { operand, .. }, Some(grad_rows), grad_keys) => {
                if let Some(grad_operand) = gradients.of(*operand) {
                    sum_rows(&grad_rows, grad_operand);
                }
                grad_keys
            }
            (Queries::Rows(_), Some(mut grad_x), Some(grad_keys)) => {
                add(&mut grad_x, &grad_keys);
                Some(grad_x)
            }
            _ => None,
        }
    }
}
