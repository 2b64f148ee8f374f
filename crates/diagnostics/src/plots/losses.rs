//! Draws losses over steps.

use super::figure::Figure;
use super::sheet::single;
use super::style::{MAIN, Panel, Range, SOFT, axes, dots, dots_entry, line, line_entry, range_of};
use crate::LossCurves;
use kuva::render::plots::Plot;

const SIZE: (f64, f64) = (760.0, 420.0);
/// Buckets of the raw curve: about one for each unit of width, beyond which lines merge.
const BUCKETS: usize = 700;
const VALIDATION: &str = "#0072b2";

impl LossCurves {
    /// Losses over steps: each step faint, the moving average, and the validation losses as dots.
    ///
    /// The loss axis leaves out the far ends of heavy tails, such as the first steps of a run that starts at 1e6, and
    /// the title then says how many losses that are. More than 700 steps are drawn as the smallest and largest of each
    /// of 700 stretches, so no spike is lost.
    #[must_use]
    pub fn plot(&self) -> Figure {
        let train: Vec<(f64, f64)> = points(self.train.iter().enumerate().map(|(i, &loss)| (i + 1, loss.into())));
        let validation: Vec<(f64, f64)> = points(self.validation.iter().map(|&(step, loss)| (step, loss.into())));
        let average = points(self.moving_average.iter().copied().enumerate().map(|(i, loss)| (i + 1, loss)));

        let mut finite: Vec<f64> = train.iter().chain(&validation).map(|point| point.1).collect();
        let (low, high) = readable_range(&mut finite, 90);
        let hidden = finite.iter().filter(|loss| !(low..=high).contains(*loss)).count();
        let last = self.validation.iter().map(|(step, _)| *step).chain([self.train.len()]).max().unwrap_or(1);
        let mut layout = axes((0.0, last as f64 * 1.01), range_of([low, high], 0.05))
            .with_ticks(6)
            .with_x_label("Training step")
            .with_y_label("Loss");
        let skipped = self.non_finite_train + self.non_finite_validation;
        if let Some(note) = not_shown(hidden, skipped) {
            layout = layout.with_title(note);
        }

        // Drawn inside the axis only, since a point far outside would overflow the pixel coordinates.
        let clamp = |points: Vec<(f64, f64)>| {
            let beyond = 0.2 * (high - low).max(f64::MIN_POSITIVE);
            points.into_iter().map(move |(x, y)| (x, y.clamp(low - beyond, high + beyond)))
        };
        let mut plots = vec![
            Plot::Line(line(clamp(envelope(&train)), SOFT, 0.8)),
            Plot::Line(line(clamp(every_nth(average)), MAIN, 2.0)),
        ];
        let mut legend =
            vec![line_entry("training", SOFT), line_entry(format!("training, mean of {} steps", self.window), MAIN)];
        if !validation.is_empty() {
            let shown: Vec<(f64, f64)> =
                every_nth(validation).into_iter().filter(|(_, y)| (low..=high).contains(y)).collect();
            plots.push(Plot::Line(line(shown.iter().copied(), VALIDATION, 1.5)));
            plots.push(dots(shown, VALIDATION, 3.5, 1.0));
            legend.push(dots_entry("validation", VALIDATION));
        }
        single(Panel { plots, layout }, SIZE, legend)
    }
}

/// The points with a finite loss.
fn points(losses: impl Iterator<Item = (usize, f64)>) -> Vec<(f64, f64)> {
    losses.filter(|(_, loss)| loss.is_finite()).map(|(step, loss)| (step as f64, loss)).collect()
}

/// What a figure has to say about losses that it does not show.
pub(super) fn not_shown(hidden: usize, not_finite: usize) -> Option<String> {
    let notes = [(hidden, "beyond the axis"), (not_finite, "not finite")];
    let notes: Vec<String> =
        notes.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count} {why}")).collect();
    (!notes.is_empty()).then(|| format!("Losses not shown: {}", notes.join(", ")))
}

/// The range of all losses, but no further above their quantile at `upper` percent, or below the one at 10%, than 3
/// times the distance of the two.
pub(super) fn readable_range(losses: &mut [f64], upper: usize) -> Range {
    let (low, high) = range_of(losses.iter().copied(), 0.0);
    let n = losses.len();
    if n == 0 {
        return (low, high);
    }
    losses.sort_unstable_by(f64::total_cmp);
    let (q10, upper) = (losses[n / 10], losses[(upper * n / 100).min(n - 1)]);
    let reach = 3.0 * (upper - q10);
    if reach > 0.0 { (low.max(q10 - reach), high.min(upper + reach)) } else { (low, high) }
}

/// The first of every n points, so that about [`BUCKETS`] remain, and the last.
pub(super) fn every_nth(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let stride = points.len().div_ceil(BUCKETS).max(1);
    let skipped_last = points.len().checked_sub(1).is_some_and(|last| !last.is_multiple_of(stride));
    let last = points.last().copied().filter(|_| skipped_last);
    points.into_iter().step_by(stride).chain(last).collect()
}

/// The smallest and the largest of each bucket, in their order.
pub(super) fn envelope(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= 2 * BUCKETS {
        return points.to_vec();
    }
    let buckets = points.chunks(points.len().div_ceil(BUCKETS));
    buckets
        .flat_map(|bucket| {
            let by_loss = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
            let extremes = (bucket.iter().min_by(by_loss), bucket.iter().max_by(by_loss));
            let (Some(&low), Some(&high)) = extremes else { return [bucket[0]; 2] };
            if low.0 <= high.0 { [low, high] } else { [high, low] }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses;

    #[test]
    fn an_exploding_start_leaves_the_rest_readable() {
        let mut values: Vec<f64> = (0..1000).map(|i| if i < 20 { 1e30 } else { (i % 7) as f64 }).collect();
        let (low, high) = readable_range(&mut values, 90);
        assert!(low == 0.0 && high < 50.0, "{low} to {high}");
        let mut ordinary: Vec<f64> = (0..1000).map(|i| 6.0 * (-f64::from(i) / 200.0).exp() - 2.0).collect();
        assert_eq!(readable_range(&mut ordinary, 90), range_of(ordinary.iter().copied(), 0.0));
    }

    #[test]
    fn a_spike_survives_thinning() {
        let points: Vec<(f64, f64)> =
            (0..1_000_000).map(|i| (f64::from(i), f64::from(u8::from(i == 654_321)))).collect();
        let thin = envelope(&points);
        assert!(thin.len() <= 2 * BUCKETS && thin.contains(&(654_321.0, 1.0)));
        assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
        let nth = every_nth(points);
        assert!(nth.len() <= BUCKETS + 1 && nth.last() == Some(&(999_999.0, 0.0)));
    }

    #[test]
    fn the_title_says_what_is_not_shown() {
        let mut train: Vec<f32> = (0..200).map(|i| (i % 5) as f32).collect();
        (train[0], train[1]) = (3e38, f32::NAN);
        let svg = losses(&train, &[(100, f32::INFINITY)]).expect("not empty").plot().to_svg();
        assert!(svg.contains("1 beyond the axis, 2 not finite"), "no note in the figure");
        let nothing = losses(&[f32::NAN], &[]).expect("not empty").plot().to_svg();
        assert!(nothing.contains("1 not finite"));
    }
}
