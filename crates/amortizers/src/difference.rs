//! Finds the first setting in which two saved configurations differ.

use serde_json::Value;

/// A setting that two configurations do not share.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Where it is, such as `config.summary.units`.
    pub key: String,
    /// Its value in the first configuration; `None` if it is not there.
    pub saved: Option<Value>,
    /// Its value in the second; `None` if it is not there.
    pub now: Option<Value>,
}

impl Difference {
    /// The first setting, in alphabetical order, in which the two differ.
    #[must_use]
    pub fn first(saved: &Value, now: &Value) -> Option<Self> {
        Self::below("", saved, now)
    }

    fn below(path: &str, saved: &Value, now: &Value) -> Option<Self> {
        let found = |key: String, saved: Option<&Value>, now: Option<&Value>| Self {
            key,
            saved: saved.cloned(),
            now: now.cloned(),
        };
        let (Value::Object(a), Value::Object(b)) = (saved, now) else {
            return (saved != now).then(|| found(path.to_owned(), Some(saved), Some(now)));
        };
        a.keys().chain(b.keys()).find_map(|key| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match (a.get(key), b.get(key)) {
                (Some(saved), Some(now)) => Self::below(&path, saved, now),
                (saved, now) => Some(found(path, saved, now)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_difference_is_named_by_its_path() {
        let a = json!({"x": 1, "net": {"units": 64, "depth": 2}});
        let first = |b: Value| Difference::first(&a, &b).map(|d| (d.key, d.saved, d.now));
        let other = first(json!({"x": 1, "net": {"units": 32, "depth": 2}}));
        assert_eq!(other, Some(("net.units".into(), Some(json!(64)), Some(json!(32)))));
        let missing = first(json!({"x": 1, "net": {"units": 64}}));
        assert_eq!(missing, Some(("net.depth".into(), Some(json!(2)), None)));
        let more = first(json!({"x": 1, "net": {"units": 64, "depth": 2}, "y": 3}));
        assert_eq!(more, Some(("y".into(), None, Some(json!(3)))));
        assert_eq!(first(a.clone()), None);
    }
}
