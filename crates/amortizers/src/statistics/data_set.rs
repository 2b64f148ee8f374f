//! Holds the features of one data set, and computes what describes them.

/// Added to variances before their logarithm, so that it is at least −18.
const LEAST_VARIANCE: f64 = 1e-8;
/// The mean square of differences that are rounding, of equal values less a mean in f64. Those of f32 are 1e-15.
const ROUNDING: f64 = 1e-18;

/// A feature.
#[derive(Debug)]
pub(super) struct Column {
    /// Where it is in a row.
    pub(super) place: usize,
    /// Where the mask of its values is, if it has one.
    pub(super) mask: Option<usize>,
    /// Its mean and standard deviation over the simulations.
    pub(super) constants: [f64; 2],
}

/// The features of a data set, one after the other, each less its mean. It is read again for each data set, so that its
/// memory is allocated once.
#[derive(Debug, Default)]
pub(super) struct DataSet {
    /// The numbers of the rows that are read.
    rows: Vec<usize>,
    /// How they lie: lines of an image and their pixels, or times and 1.
    axes: [usize; 2],
    /// `[F, rows]`; 0 for what is missing.
    values: Vec<f64>,
    /// 1 for each value that is there, as `values`; empty if all are.
    there: Vec<f64>,
    moments: Vec<Moments>,
}

/// How many values of a feature are there, their mean, and the sum of squares around it.
#[derive(Debug, Clone, Copy)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

/// Pairs of values at a distance: how many there are, and the sums of their products and squared differences.
#[derive(Debug, Clone, Copy, Default)]
struct Pairs {
    count: f64,
    products: f64,
    differences: f64,
}

impl DataSet {
    /// Leaves padding out: all rows that do not exist or, if their places count, what lies behind the last that exist.
    pub(super) fn place(&mut self, [lines, width]: [usize; 2], exist: Option<&[bool]>, in_order: bool) {
        self.rows.clear();
        self.axes = [lines, width];
        let all = 0..lines * width;
        match exist {
            None => self.rows.extend(all),
            Some(exist) if in_order => {
                let there = all.filter(|row| exist[*row]);
                let reach = |[lines, pixels]: [usize; 2], row: usize| {
                    [(row / width + 1).max(lines), (row % width + 1).max(pixels)]
                };
                self.axes = there.fold([0, 0], reach);
                let [lines, pixels] = self.axes;
                self.rows.extend((0..lines).flat_map(|line| line * width..line * width + pixels));
            }
            Some(exist) => {
                self.rows.extend(all.filter(|row| exist[*row]));
                self.axes = [self.rows.len(), 1];
            }
        }
    }

    /// Reads values `[rows, features]`.
    pub(super) fn read(&mut self, values: &[f32], features: usize, columns: &[Column], exist: Option<&[bool]>) {
        self.values.clear();
        self.there.clear();
        self.moments.clear();
        let exists = |row: usize| exist.is_none_or(|exist| exist[row]);
        let gaps = columns.iter().any(|column| column.mask.is_some()) || !self.rows.iter().all(|row| exists(*row));
        for &Column { place, mask, constants: [mean, std] } in columns {
            let per_unit = 1.0 / std;
            self.values
                .extend(self.rows.iter().map(|row| (f64::from(values[row * features + place]) - mean) * per_unit));
            if gaps {
                let known = |row: usize| exists(row) && mask.is_none_or(|mask| values[row * features + mask] != 0.0);
                self.there.extend(self.rows.iter().map(|row| if known(*row) { 1.0 } else { 0.0 }));
            }
        }
        let rows = self.rows.len();
        for (f, values) in self.values.chunks_exact_mut(rows.max(1)).enumerate() {
            let there = self.there.get(f * rows..(f + 1) * rows);
            let count = there.map_or(rows as f64, |there| dot(there, there));
            let mean = there.map_or_else(|| sum(values), |there| dot(values, there)) / count.max(1.0);
            values.iter_mut().for_each(|value| *value -= mean);
            if let Some(there) = there {
                values.iter_mut().zip(there).for_each(|(value, there)| *value *= there);
            }
            let squares = dot(values, values);
            let varies = squares > ROUNDING * count;
            if !varies {
                values.fill(0.0);
            }
            self.moments.push(Moments { count, mean, squares: if varies { squares } else { 0.0 } });
        }
    }

    fn values(&self, feature: usize) -> &[f64] {
        &self.values[feature * self.rows.len()..(feature + 1) * self.rows.len()]
    }

    /// Which of a feature's values are there; `None` if all are.
    fn there(&self, feature: usize) -> Option<&[f64]> {
        self.there.get(feature * self.rows.len()..(feature + 1) * self.rows.len())
    }

    pub(super) fn mean(&self, feature: usize) -> f64 {
        self.moments[feature].mean
    }

    /// ln s²; 0 of a single value.
    pub(super) fn log_variance(&self, feature: usize) -> f64 {
        let Moments { count, squares, .. } = self.moments[feature];
        if count > 1.0 { log_mean_square(squares, count - 1.0) } else { 0.0 }
    }

    /// Fisher's z of the correlation of two features.
    pub(super) fn correlation(&self, a: usize, b: usize) -> f64 {
        let both = self.there(a).zip(self.there(b));
        let count = both.map_or(self.rows.len() as f64, |(a, b)| dot(a, b));
        let covariance = dot(self.values(a), self.values(b)) / count.max(1.0);
        let variance = |of: Moments| of.squares / of.count.max(1.0);
        fisher_z(ratio(covariance, (variance(self.moments[a]) * variance(self.moments[b])).sqrt()), count)
    }

    /// Fisher's z of the autocorrelation of which all pairs without gaps are divided by the variance of the series.
    pub(super) fn autocorrelation(&self, feature: usize, lag: usize) -> f64 {
        let Moments { count, squares, .. } = self.moments[feature];
        let pairs = self.pairs(feature, [lag, 0]);
        let share = 1.0 - lag as f64 / (self.axes[0] as f64).max(1.0);
        fisher_z(ratio(pairs.products * count * share, pairs.count * squares), pairs.count)
    }

    /// ln of the mean squared difference at this distance, over time or along both axes of an image.
    pub(super) fn log_difference(&self, feature: usize, distance: usize) -> f64 {
        let [down, right] = [[distance, 0], [0, distance]].map(|shift| self.pairs(feature, shift));
        let count = down.count + right.count;
        if count > 0.0 { log_mean_square(down.differences + right.differences, count) } else { 0.0 }
    }

    /// Σ x t / (n s) of times t around their mean, with standard deviation s.
    pub(super) fn trend(&self, feature: usize) -> f64 {
        let times = || (0..self.rows.len()).map(|t| t as f64);
        let count = self.moments[feature].count;
        let [first, second] = match self.there(feature) {
            None => [times().sum::<f64>(), times().map(|t| t * t).sum()],
            Some(there) => [1, 2].map(|power| times().zip(there).map(|(t, there)| t.powi(power) * there).sum()),
        };
        let mean = first / count.max(1.0);
        let std = (second / count.max(1.0) - mean * mean).max(0.0).sqrt();
        let products: f64 = times().zip(self.values(feature)).map(|(t, value)| (t - mean) * value).sum();
        ratio(products, count * std)
    }

    /// The mean over a cell of an image's grid of `cells` by `cells`, less that over the image.
    pub(super) fn mean_of_cell(&self, feature: usize, cell: [usize; 2], cells: usize) -> f64 {
        let [lines, pixels] = [0, 1].map(|axis| {
            let place = |cell: usize| cell * self.axes[axis] / cells;
            place(cell[axis])..place(cell[axis] + 1)
        });
        let (mut total, mut count) = (0.0, 0.0);
        for line in lines {
            let places = line * self.axes[1] + pixels.start..line * self.axes[1] + pixels.end;
            count += self.there(feature).map_or(places.len() as f64, |there| sum(&there[places.clone()]));
            total += sum(&self.values(feature)[places]);
        }
        ratio(total, count)
    }

    /// All pairs of which one is so many lines and pixels behind the other.
    fn pairs(&self, feature: usize, [down, right]: [usize; 2]) -> Pairs {
        let [lines, width] = self.axes;
        let (values, there) = (self.values(feature), self.there(feature));
        let mut pairs = Pairs::default();
        if down >= lines || right >= width || down + right == 0 {
            return pairs;
        }
        // Without a shift to the right, lines follow each other as one.
        let (stretches, length) = if right == 0 { (1, (lines - down) * width) } else { (lines - down, width - right) };
        for line in 0..stretches {
            let a = line * width..line * width + length;
            let b = a.start + down * width + right..a.end + down * width + right;
            pairs.products += dot(&values[a.clone()], &values[b.clone()]);
            match there {
                None => {
                    pairs.count += length as f64;
                    pairs.differences += summed_of_two(&values[a], &values[b], |a, b| (a - b) * (a - b));
                }
                Some(there) => {
                    pairs.count += dot(&there[a.clone()], &there[b.clone()]);
                    // 0 where one is missing.
                    let there = there[a.clone()].iter().zip(&there[b.clone()]);
                    let both = values[a].iter().zip(&values[b]).zip(there);
                    pairs.differences += both.map(|((a, b), (c, d))| (a - b) * (a - b) * c * d).sum::<f64>();
                }
            }
        }
        pairs
    }
}

/// ln of a mean of squares. That differences are all 0, as of counts of rare events, tells that fewer than one of so
/// many is not: half of one then has a square of 1. A logarithm near −∞ would be far from those of all other data sets.
fn log_mean_square(squares: f64, count: f64) -> f64 {
    if squares > 0.0 { (squares / count + LEAST_VARIANCE).ln() } else { -(2.0 * count).ln() }
}

/// 0 for 0 / 0, as of values that are all equal.
fn ratio(numerator: f64, denominator: f64) -> f64 {
    if denominator > 0.0 { numerator / denominator } else { 0.0 }
}

/// artanh of a correlation of so many pairs, shrunk by 1 / n² so that it is finite: two pairs have ±1 whatever the
/// features.
fn fisher_z(correlation: f64, pairs: f64) -> f64 {
    (correlation.clamp(-1.0, 1.0) * (1.0 - 1.0 / (pairs * pairs).max(1.0))).atanh()
}

/// Σ f(a, b), in eight sums, which a processor adds side by side.
fn summed_of_two(a: &[f64], b: &[f64], f: impl Fn(f64, f64) -> f64) -> f64 {
    let mut sums = [0.0; 8];
    let ((a, rest_of_a), (b, rest_of_b)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += f(*a, *b);
        }
    }
    sums.iter().sum::<f64>() + rest_of_a.iter().zip(rest_of_b).map(|(a, b)| f(*a, *b)).sum::<f64>()
}

fn summed(values: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    summed_of_two(values, values, |value, _| f(value))
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    summed_of_two(a, b, |a, b| a * b)
}

fn sum(values: &[f64]) -> f64 {
    summed(values, |value| value)
}
