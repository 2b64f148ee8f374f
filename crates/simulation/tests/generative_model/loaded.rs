//! Checks policies on simulations that are already there, such as rows of files.

use bayesburn_core::{Data, SimulationId, Simulations};
use bayesburn_simulation::InvalidSimulations;
use ndarray::{arr1, array};

/// Parameters 0 to 3, of which the data of rows 1 and 3 are not finite.
fn loaded() -> Simulations {
    let x = array![[0.0, 0.5], [f32::NAN, 1.5], [2.0, 2.5], [3.0, f32::NEG_INFINITY]].into_dyn();
    let mut loaded =
        Simulations::new(["theta".to_owned()].into(), array![[0.0], [1.0], [2.0], [3.0]], x).expect("4 rows");
    loaded.sim_batchable_context = Some(array![[10.0], [11.0], [12.0], [13.0]].into_dyn());
    loaded.prior_non_batchable_context = Some(arr1(&[7.0]).into_dyn());
    loaded
}

#[test]
fn loaded_rows_are_dropped_or_masked() {
    let rows = [40, 20, 30, 10];
    let ids = [20, 10].map(|index| SimulationId { seed: 0, index, attempt: 0, first: index, batch: 1 });
    let dropped = InvalidSimulations::Drop.apply(loaded(), &rows).expect("two rows are left");
    assert_eq!(dropped, Simulations { invalid: ids.into(), ..loaded().select(&[0, 2]) });
    let masked = InvalidSimulations::Mask.apply(loaded(), &rows).expect("values may be missing");
    let x = Data::new(array![[0.0, 0.5], [0.0, 1.5], [2.0, 2.5], [3.0, 0.0]]);
    let data = x.with_value_mask(array![[1.0, 1.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]).expect("of one shape");
    let expected = Simulations { data, invalid: ids.into(), ..loaded() };
    assert_eq!(masked, expected);
    // A mask that came with the data stays where it was 0.
    let mut again = masked;
    again.data.update(|mut values| values[[0, 0]] = f32::INFINITY);
    let again = InvalidSimulations::Mask.apply(again, &rows).expect("values may be missing");
    let mask = array![[0.0, 1.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]].into_dyn();
    assert_eq!(again.data.value_mask(), Some(&mask));
    assert_eq!(again.invalid.iter().map(|id| id.index).collect::<Vec<_>>(), [20, 10, 40]);
}

#[test]
fn loaded_rows_that_cannot_be_used_are_named() {
    let message = |policy: InvalidSimulations, simulations, rows: &[u64]| {
        policy.apply(simulations, rows).expect_err("a planted mistake").to_string()
    };
    let rows = [40, 20, 30, 10];
    let error = message(InvalidSimulations::Error, loaded(), &rows);
    assert!(error.contains("`data` of row 20 holds NaN at position [0]"), "{error}");
    assert!(error.contains("`InvalidSimulations::Drop`"), "{error}");
    assert!(message(InvalidSimulations::Redraw { max_attempts: 9 }, loaded(), &rows).contains("cannot be redrawn"));
    assert!(message(InvalidSimulations::Drop, loaded(), &rows[..3]).contains("3 row numbers for 4 simulations"));
    let error = message(InvalidSimulations::Drop, loaded().select(&[1, 3]), &[20, 10]);
    assert!(error.contains("all 2 simulations"), "{error}");
    for policy in [InvalidSimulations::Error, InvalidSimulations::Drop, InvalidSimulations::Mask] {
        let mut parameters = loaded();
        parameters.parameters[[2, 0]] = f32::INFINITY;
        let error = message(policy, parameters, &rows);
        assert!(
            error.contains("`parameters` of row 30 holds inf at position [0]") && !error.contains("Drop"),
            "{error}"
        );
        let mut context = loaded();
        context.sim_batchable_context.as_mut().expect("given")[[3, 0]] = f32::NAN;
        assert!(message(policy, context, &rows).contains("`sim_batchable_context` of row 10"));
        let mut shared = loaded();
        shared.prior_non_batchable_context.as_mut().expect("given")[[0]] = f32::NAN;
        assert!(message(policy, shared, &rows).contains("`prior_non_batchable_context` of all rows"));
    }
    let whole = loaded().select(&[0, 2]);
    assert_eq!(InvalidSimulations::Error.apply(whole.clone(), &[0, 1]).expect("all are finite"), whole);
}
