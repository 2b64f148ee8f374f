//! Writes numbers as all reports do.

/// Three decimals, or a dash for none.
pub(super) fn number(value: f64) -> String {
    if value.is_nan() { "–".to_owned() } else { format!("{value:.3}") }
}

/// Three decimals, or powers of ten where these are 0.
pub(super) fn p_value(p: f64) -> String {
    if p >= 0.001 { format!("{p:.3}") } else { format!("{p:.1e}") }
}
