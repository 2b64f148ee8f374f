//! Writes requests to workers, each a line of JSON.

use ndarray::{ArrayView1, ArrayViewD, Axis};

/// What a worker is asked.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) id: u64,
    pub(super) seed: u64,
    pub(super) parameters: ArrayView1<'a, f32>,
    pub(super) batchable_context: Option<ArrayViewD<'a, f32>>,
    /// As JSON, since it is the same for a whole batch.
    pub(super) non_batchable_context: Option<&'a [u8]>,
}

impl Request<'_> {
    /// Appends the request as a line.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{{\"id\":{},\"seed\":{},\"parameters\":", self.id, self.seed).as_bytes());
        write_array(out, self.parameters.into_dyn());
        if let Some(context) = &self.batchable_context {
            out.extend_from_slice(b",\"batchable_context\":");
            write_array(out, context.view());
        }
        if let Some(context) = self.non_batchable_context {
            out.extend_from_slice(b",\"non_batchable_context\":");
            out.extend_from_slice(context);
        }
        out.extend_from_slice(b"}\n");
    }
}

/// Appends an array as nested lists. Numbers are the shortest that read back as the same f32; those that are not finite
/// are `null`.
pub(super) fn write_array(out: &mut Vec<u8>, array: ArrayViewD<'_, f32>) {
    if array.ndim() == 0 {
        let value = array.first().copied().unwrap_or(f32::NAN);
        serde_json::to_writer(out, &value).expect("memory takes any number");
        return;
    }
    out.push(b'[');
    for (i, inner) in array.axis_iter(Axis(0)).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_array(out, inner);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, aview0};

    #[test]
    fn requests_have_the_documented_form() {
        let (parameters, context) = (array![0.25, -1.0, f32::NAN], array![[0.5, 1e20], [0.1, 3.0]].into_dyn());
        let mut request = Request {
            id: 12,
            seed: (1 << 53) - 1,
            parameters: parameters.view(),
            batchable_context: None,
            non_batchable_context: None,
        };
        let mut line = Vec::new();
        request.write(&mut line);
        let bare = "{\"id\":12,\"seed\":9007199254740991,\"parameters\":[0.25,-1.0,null]";
        assert_eq!(String::from_utf8_lossy(&line), format!("{bare}}}\n"));
        request.batchable_context = Some(context.view());
        request.non_batchable_context = Some(b"[20.0]");
        line.clear();
        request.write(&mut line);
        let contexts = ",\"batchable_context\":[[0.5,1e+20],[0.1,3.0]],\"non_batchable_context\":[20.0]}\n";
        assert_eq!(String::from_utf8_lossy(&line), format!("{bare}{contexts}"));
        line.clear();
        write_array(&mut line, aview0(&2.0).into_dyn());
        assert_eq!(line, b"2.0");
    }
}
