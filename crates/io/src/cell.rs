//! Parses the cells of a table, and detects their separator and decimal point.

/// What a cell holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell {
    /// A number, and whether it is written as an integer.
    Number(f64, bool),
    /// Nothing, `NA` or `NaN`.
    Missing,
    /// Anything else.
    Word,
}

/// The ways in which other programs write missing values, besides NaN.
const MISSING: [&str; 4] = ["", "NA", "N/A", "null"];

/// How numbers are written in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// The separator of cells.
    pub(crate) delimiter: u8,
    /// Whether a comma in a number is a decimal comma, because commas do not separate cells.
    pub(crate) has_decimal_commas: bool,
}

impl Dialect {
    /// The dialect of a table, from its last line, which contains numbers and therefore no semicolon or tab within a
    /// cell.
    pub(crate) fn of(text: &str) -> Self {
        let mut lines = text.split(['\n', '\r']).filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let line = lines.next_back().unwrap_or_default();
        let mut in_quotes = false;
        let outside = |c: &char| {
            in_quotes ^= *c == '"';
            !in_quotes
        };
        let line: String = line.chars().filter(outside).collect();
        let of = |delimiter| Self { delimiter, has_decimal_commas: delimiter != b',' };
        // A tab may also be a space beside a comma.
        let is_split = |line: &str| {
            let mut cells = line.split('\t').map(|cell| of(b'\t').cell(cell.trim_matches([' ', '"'])));
            cells.all(|cell| cell != Cell::Word)
        };
        match (line.contains(';'), line.contains('\t')) {
            (true, _) => of(b';'),
            (false, true) if !line.contains(',') || is_split(&line) => of(b'\t'),
            _ => of(b','),
        }
    }

    /// What a cell holds.
    pub(crate) fn cell(self, text: &str) -> Cell {
        let number = match self.is_decimal_comma(text) {
            true => text.replace(',', ".").parse(),
            false => text.parse(),
        };
        let is_whole = text.trim_start_matches(['+', '-']).bytes().all(|byte| byte.is_ascii_digit());
        match number {
            Ok(number) if !f64::is_nan(number) => Cell::Number(number, is_whole),
            Err(_) if !MISSING.iter().any(|missing| text.eq_ignore_ascii_case(missing)) => Cell::Word,
            _ => Cell::Missing,
        }
    }

    /// Whether a number has a decimal comma.
    pub(crate) fn is_decimal_comma(self, text: &str) -> bool {
        let is_comma = |(before, after): (&str, &str)| {
            !before.contains('.')
                && !after.contains(['.', ','])
                && after.starts_with(|first: char| first.is_ascii_digit())
        };
        self.has_decimal_commas && text.split_once(',').is_some_and(is_comma)
    }
}

/// Whether a comma may separate thousands: 1,500.
pub(crate) fn may_be_thousands(text: &str) -> bool {
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    text.trim_start_matches(['+', '-']).split_once(',').is_some_and(|(before, after)| {
        (1..=3).contains(&before.len())
            && after.len() == 3
            && is_number(before)
            && is_number(after)
            && !before.starts_with('0')
    })
}

/// The line on which a record begins, as an editor counts, after blank and comment lines before it.
pub(crate) fn line_of(bytes: &[u8], offset: usize) -> usize {
    let mut start = offset.min(bytes.len());
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    loop {
        start += bytes[start..].iter().take_while(|byte| is_end(byte)).count();
        if bytes.get(start) != Some(&b'#') {
            break;
        }
        start += bytes[start..].iter().take_while(|byte| !is_end(byte)).count();
    }
    let ends = (0..start).filter(|&i| bytes[i] == b'\n' || bytes[i] == b'\r' && bytes.get(i + 1) != Some(&b'\n'));
    1 + ends.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_told_apart() {
        let comma = Dialect { delimiter: b',', has_decimal_commas: false };
        let semicolon = Dialect { delimiter: b';', has_decimal_commas: true };
        assert_eq!(comma.cell("+2E+05"), Cell::Number(2e5, false));
        assert_eq!(comma.cell("-17"), Cell::Number(-17.0, true));
        assert_eq!(comma.cell("1,5"), Cell::Word);
        assert_eq!(semicolon.cell("1,5"), Cell::Number(1.5, false));
        assert_eq!(semicolon.cell("1.000,5"), Cell::Word);
        for missing in ["", "NA", "NaN", "nan", "N/A", "null"] {
            assert_eq!(comma.cell(missing), Cell::Missing, "{missing}");
        }
        for word in ["mu", "0x10", "1.0D-03", "1 2", "-", "+"] {
            assert_eq!(comma.cell(word), Cell::Word, "{word}");
        }
        for (text, thousands) in [("1,500", true), ("0,500", false), ("12,34", false), ("1234,567", false)] {
            assert_eq!(may_be_thousands(text), thousands, "{text}");
        }
    }

    #[test]
    fn what_separates_cells_is_found() {
        for (text, delimiter) in [
            ("mu,tau\n1,2\n", b','),
            ("mu;tau\n1.5;2\n", b';'),
            ("1,5;2,0", b';'),
            ("mu\ttau\n1,5\t2,5\n", b'\t'),
            ("mu,tau\n1,\t2\n", b','),
            ("\"a;b\",c\n1,2\n\n# a;b\n", b','),
            ("1\n", b','),
            ("", b','),
        ] {
            assert_eq!(Dialect::of(text).delimiter, delimiter, "{text}");
        }
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let text = b"# one\r\n\r\nmu\r\n# two\n1\n\n2\n";
        let at = |part: &[u8]| text.windows(part.len()).position(|window| window == part).expect("it is there");
        assert_eq!(line_of(text, 0), 3);
        assert_eq!(line_of(text, at(b"# two")), 5);
        assert_eq!(line_of(text, at(b"\n\n2") + 1), 7);
        assert_eq!(line_of(b"a\rb\rc\r", 2), 2);
        assert_eq!(line_of(b"", 5), 1);
    }
}
