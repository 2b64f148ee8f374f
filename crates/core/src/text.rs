//! Makes text from elsewhere safe to print.

use std::borrow::Cow;

/// A text from a file or another program, for a terminal or a report: control characters are escaped as in Rust, such
/// as `\u{1b}`, with which a text could move the cursor, set the window's title or hide a line.
///
/// Newline and tab are kept, see [`one_line`] for names. Characters that reverse the direction of the text after them
/// (U+202A to U+202E, U+2066 to U+2069) are escaped too.
///
/// ```
/// use bayesburn_core::printable;
///
/// assert_eq!(printable("step 1\n\tµ = 0.5"), "step 1\n\tµ = 0.5");
/// assert_eq!(printable("\u{1b}[2Jall checks passed\r"), "\\u{1b}[2Jall checks passed\\r");
/// ```
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, is_escaped)
}

/// [`printable`] for what belongs in one line, such as a name: newline, tab and Unicode's separators of lines and
/// paragraphs are escaped too.
///
/// ```
/// use bayesburn_core::one_line;
///
/// assert_eq!(one_line("mu\nPASSED"), "mu\\nPASSED");
/// ```
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |character| is_escaped(character) || matches!(character, '\n' | '\t' | '\u{2028}' | '\u{2029}'))
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_escaped(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Unicode's controls are those of ASCII, delete, and U+0080 to U+009F, which some terminals take for escape sequences.
fn is_escaped(character: char) -> bool {
    let turns_text = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns_text || (character.is_control() && !matches!(character, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_controls_is_not_copied() {
        for text in ["", "mu", "two\nlines\tand a tab", "σ² ≥ 0, 質量, \\u{1b}"] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn every_control_is_escaped() {
        let controls = (0..=0x1f).chain(0x7f..=0x9f).map(|code| char::from(code as u8));
        for control in controls.filter(|control| !matches!(control, '\n' | '\t')) {
            let escaped = printable(&format!("a{control}b")).into_owned();
            assert!(!escaped.contains(char::is_control) && escaped.starts_with("a\\"), "{escaped}");
        }
        assert_eq!(printable("\u{1b}]0;title\u{7}\r\n\u{9b}2J"), "\\u{1b}]0;title\\u{7}\\r\n\\u{9b}2J");
    }

    #[test]
    fn a_line_stays_one() {
        assert_eq!(one_line("a\nb\tc\u{2028}d\u{2029}\u{1b}"), "a\\nb\\tc\\u{2028}d\\u{2029}\\u{1b}");
        assert!(matches!(one_line("σ² \\n"), Cow::Borrowed("σ² \\n")));
    }

    #[test]
    fn text_is_not_turned_around() {
        assert_eq!(printable("\u{202e}dessap\u{2069}"), "\\u{202e}dessap\\u{2069}");
    }
}
