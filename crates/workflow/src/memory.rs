//! Refuses requests whose results would exceed 32 GiB, before anything is computed.

/// Numbers that a command holds at a time, at most: 32 GiB.
const MOST: usize = 1 << 33;

/// Checks that `draws` for each of `data_sets`, with `parameters` numbers a draw and `beside` further numbers a data
/// set, are at most [`MOST`] numbers.
///
/// # Errors
/// No draws, or more than [`MOST`] numbers.
pub(crate) fn check_size(draws: usize, data_sets: usize, parameters: usize, beside: usize) -> Result<(), String> {
    let numbers = data_sets.saturating_mul(draws.saturating_mul(parameters).saturating_add(beside));
    match draws {
        0 => Err("no draws were asked for: give --draws 1 or more".to_owned()),
        _ if numbers > MOST => Err(format!(
            "--draws {draws} for each of {data_sets} data sets: {numbers} numbers in all, of 4 bytes each: ask for at \
             most {MOST} at a time"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_memory_holds_is_drawn_and_more_is_refused() {
        assert_eq!(check_size(1 << 20, 1 << 10, 8, 0), Ok(()));
        assert!(check_size(0, 1, 1, 0).expect_err("no draws").contains("--draws 1"));
        for (draws, data_sets, parameters, beside) in
            [(1 << 20, 1 << 10, 8, 1), (2, 1 << 32, 1, 1), (usize::MAX, 1, 1, 0), (usize::MAX, 1 << 63, 2, usize::MAX)]
        {
            let refused = check_size(draws, data_sets, parameters, beside).expect_err("too many");
            assert!(refused.contains(&format!("--draws {draws} for")) && refused.contains("at most"), "{refused}");
        }
    }
}
