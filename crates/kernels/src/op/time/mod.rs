//! Embeds the times of rows: a linear term and sines (Time2Vec, Kazemi et al. 2019).

pub(crate) mod cpu;

/// x ↦ [x, w t + b, sin(w₁ t + b₁), ...], with the time t of each row.
#[derive(Debug, Clone, Copy)]
pub struct TimeEmbedding {
    /// The place of the factors w, `[1, number]`.
    pub factors: usize,
    /// The place of the offsets b, `[number]`.
    pub offsets: usize,
    /// The number of columns.
    pub number: usize,
    /// The time.
    pub time: RowTime,
}

/// The time of a row.
#[derive(Debug, Clone, Copy)]
pub enum RowTime {
    /// The index of the row, times this unit.
    Index(f32),
    /// A column of x.
    Column(usize),
}
