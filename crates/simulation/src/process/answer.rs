//! Reads the answers of workers, each a line of JSON.

use super::WorkerFault;
use crate::rows::Drawn;
use bayesburn_core::printable;
use ndarray::{ArrayD, IxDyn};

/// How deep `data` may be nested.
const MAX_DEPTH: usize = 16;

/// The answer of a worker: data, or an error.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) id: u64,
    pub(super) data: Result<Drawn, WorkerFault>,
}

/// Reads a line, which is an answer or [`WorkerFault::Nonsense`].
///
/// The parser is hand-written, because JSON has no NaN, and because it reads 40 numbers of 17 digits in 2.5 µs,
/// `serde_json::Value` in 6 µs.
pub(super) fn read_answer(line: &[u8]) -> Result<Answer, WorkerFault> {
    let nonsense = |problem: String| WorkerFault::Nonsense { line: shortened(line), problem: safe(&problem) };
    Reader { bytes: line, at: 0 }.answer().map_err(nonsense)
}

/// For messages: control characters, with which a worker could write to the user's terminal, are escaped.
fn safe(text: &str) -> String {
    printable(text).into_owned()
}

/// The first 200 characters, safe to print.
pub(super) fn shortened(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(1000)]);
    let text = text.trim_end();
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}...", safe(&text[..end])),
        None => safe(text),
    }
}

/// A position in a line of JSON. Methods fail with a description of the error there.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn answer(mut self) -> Result<Answer, String> {
        let (mut id, mut data, mut error) = (None, None, None);
        self.take(b'{')?;
        loop {
            let key = self.string()?;
            self.take(b':')?;
            match key.as_str() {
                "id" => id = Some(self.id()?),
                "data" => data = Some(self.data()?),
                "error" => error = Some(self.string()?),
                _ => return Err(format!("there is no key `{key}`, only `id`, `data` and `error`")),
            }
            if self.next() == Some(b'}') {
                break;
            }
            self.take(b',')?;
        }
        self.take(b'}')?;
        if self.next().is_some() {
            return Err(format!("something follows the answer, at byte {}", self.at));
        }
        let id = id.ok_or("it has no `id`")?;
        match (data, error) {
            (_, Some(message)) => Ok(Answer { id, data: Err(WorkerFault::Reported { message: safe(&message) }) }),
            (Some(data), None) => {
                Ok(Answer { id, data: data.map_err(|problem| WorkerFault::Data { problem: safe(&problem) }) })
            }
            (None, None) => Err("it has neither `data` nor `error`".into()),
        }
    }

    /// The next byte that is not white space.
    fn next(&mut self) -> Option<u8> {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, expected: u8) -> Result<(), String> {
        if self.next() == Some(expected) {
            self.at += 1;
            return Ok(());
        }
        let expected = char::from(expected);
        Err(if self.at == 0 { "it is no JSON object".into() } else { format!("no `{expected}` at byte {}", self.at) })
    }

    fn string(&mut self) -> Result<String, String> {
        let begin = self.at;
        self.take(b'"')?;
        let start = self.at - 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return serde_json::from_slice(&self.bytes[start..self.at]).map_err(|error| error.to_string());
            }
        }
        Err(format!("the text that begins at byte {begin} does not end"))
    }

    /// A number or word, up to what can follow one.
    fn token(&mut self) -> &'a str {
        self.next();
        let rest = &self.bytes[self.at..];
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let len = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        self.at += len;
        std::str::from_utf8(&rest[..len]).unwrap_or_default()
    }

    /// An integer, also in the forms `12.0` and `1e+05` of languages whose numbers are all floats.
    fn id(&mut self) -> Result<u64, String> {
        let token = self.token();
        let float = || token.parse::<f64>().ok().filter(|id| id.fract() == 0.0 && (0.0..=9e15).contains(id));
        token.parse().ok().or_else(|| float().map(|id| id as u64)).ok_or_else(|| "its `id` is no whole number".into())
    }

    fn number(&mut self) -> Result<f32, String> {
        self.next();
        let at = self.at;
        if let Some((value, len)) = decimal(&self.bytes[at..]) {
            self.at += len;
            return Ok(value);
        }
        match self.token() {
            "null" => Ok(f32::NAN),
            token => token.parse().map_err(|_| format!("no number at byte {at}")),
        }
    }

    /// An array, or an object of arrays by their names.
    fn data(&mut self) -> Result<Result<Drawn, String>, String> {
        if self.next() != Some(b'{') {
            return Ok(self.array()?.map(Drawn::One));
        }
        self.take(b'{')?;
        let (mut inputs, mut problem) = (Vec::new(), None);
        while !inputs.is_empty() || self.next() != Some(b'}') {
            let name = self.string()?;
            self.take(b':')?;
            let array = self.array()?.unwrap_or_else(|reason| {
                problem.get_or_insert(format!("`{name}`: {reason}"));
                ArrayD::zeros(IxDyn(&[0]))
            });
            inputs.push((name, array));
            if self.next() == Some(b'}') {
                break;
            }
            self.take(b',')?;
        }
        self.take(b'}')?;
        if inputs.is_empty() {
            problem = Some("it has no input".to_owned());
        }
        Ok(problem.map_or(Ok(Drawn::Named(inputs)), Err))
    }

    /// Nested lists of numbers, or one number, which is a list of one. The inner error is for lists that do not form an
    /// array.
    fn array(&mut self) -> Result<Result<ArrayD<f32>, String>, String> {
        if self.next() != Some(b'[') {
            return Ok(Ok(ArrayD::from_elem(IxDyn(&[1]), self.number()?)));
        }
        let mut lists = Lists::default();
        self.list(0, &mut lists)?;
        if let Some(problem) = lists.problem {
            return Ok(Err(problem));
        }
        let shape: Vec<usize> = lists.shape.into_iter().flatten().collect();
        Ok(ArrayD::from_shape_vec(IxDyn(&shape), lists.values).map_err(|error| error.to_string()))
    }

    /// A list that is inside of `depth` others.
    fn list(&mut self, depth: usize, lists: &mut Lists) -> Result<(), String> {
        self.take(b'[')?;
        if depth == MAX_DEPTH {
            return Err(format!("its data are nested more than {MAX_DEPTH} deep"));
        }
        if lists.shape.len() == depth {
            if !lists.values.is_empty() {
                lists.object("a list stands beside a number".into());
            }
            lists.shape.push(None);
        }
        let mut len = 0;
        while len > 0 || self.next() != Some(b']') {
            if self.next() == Some(b'[') {
                self.list(depth + 1, lists)?;
            } else {
                lists.values.push(self.number()?);
                if lists.shape.len() > depth + 1 {
                    lists.object("a number stands beside a list".into());
                }
            }
            len += 1;
            if self.next() == Some(b']') {
                break;
            }
            self.take(b',')?;
        }
        self.take(b']')?;
        let expected = *lists.shape[depth].get_or_insert(len);
        if len != expected {
            lists.object(format!("lists of {expected} and of {len} stand beside each other"));
        }
        Ok(())
    }
}

/// A number without exponent, followed by the next element or the end of a list, and its length. `None` for anything
/// else, and for about one number in 2²⁷ that is too close to the midpoint of two f32 to be rounded here; the standard
/// library then parses it.
fn decimal(bytes: &[u8]) -> Option<(f32, usize)> {
    let is_negative = bytes.first() == Some(&b'-');
    let start = usize::from(is_negative);
    let (mut at, mut mantissa, mut point) = (start, 0_u64, None);
    let end = loop {
        match *bytes.get(at)? {
            digit @ b'0'..=b'9' => mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')),
            b'.' if point.is_none() => point = Some(at),
            b',' | b']' | b' ' => break at,
            _ => return None,
        }
        at += 1;
    };
    let decimals = point.map_or(0, |point| end - point - 1);
    let digits = end - start - usize::from(point.is_some());
    // 19 digits are below 2⁶⁴.
    if !(1..=19).contains(&digits) {
        return None;
    }
    // Two roundings to f64, of the mantissa and of the quotient: off by less than 2 units of its last place, of which
    // an f32 has 2²⁹.
    let value = mantissa as f64 / POWERS_OF_TEN[decimals];
    let from_middle = (value.to_bits() & ((1 << 29) - 1)).abs_diff(1 << 28);
    (from_middle > 2).then_some((if is_negative { -value } else { value } as f32, end))
}

/// Up to 10²², they are exact.
const POWERS_OF_TEN: [f64; 20] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19];

/// Nested lists, as far as they have been read.
#[derive(Default)]
struct Lists {
    values: Vec<f32>,
    /// The length of the lists of each depth, known once one of them has ended.
    shape: Vec<Option<usize>>,
    /// The reason why they do not form an array.
    problem: Option<String>,
}

impl Lists {
    fn object(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::request::write_array;
    use ndarray::array;

    fn data(text: &str) -> Result<ArrayD<f32>, String> {
        let answer = read_answer(format!("{{\"id\": 1, \"data\": {text}}}").as_bytes()).map_err(|e| e.to_string())?;
        match answer.data.map_err(|e| e.to_string())? {
            Drawn::One(array) => Ok(array),
            Drawn::Named(inputs) => Err(format!("{inputs:?}")),
        }
    }

    #[test]
    fn inputs_have_names() {
        let read = |text: &str| read_answer(format!("{{\"id\": 1, \"data\": {text}}}").as_bytes()).map(|a| a.data);
        let (series, age) = (array![[1.0], [2.0]].into_dyn(), array![40.0].into_dyn());
        let named = Drawn::Named(vec![("series".to_owned(), series), ("age".to_owned(), age)]);
        assert_eq!(read("{\"series\": [[1],[2]], \"age\": 40}"), Ok(Ok(named)));
        let problem = |text: &str| read(text).expect("an answer").expect_err("no data").to_string();
        assert!(problem("{\"series\": [[1],2]}").contains("`series`: a number stands beside a list"));
        assert!(problem("{}").contains("no input"));
    }

    #[test]
    fn the_nesting_of_data_is_their_shape() {
        assert_eq!(data("[1, 2.5,-3e-2]"), Ok(array![1.0, 2.5, -0.03].into_dyn()));
        assert_eq!(data("[[1],[2],[3]]"), Ok(array![[1.0], [2.0], [3.0]].into_dyn()));
        assert_eq!(data(" [ [ [ 1 ] , [ 2 ] ] ] "), Ok(array![[[1.0], [2.0]]].into_dyn()));
        assert_eq!(data("3.5"), Ok(array![3.5].into_dyn()), "one number is a list of one");
        assert_eq!(data("[]").expect("empty").shape(), [0]);
        assert_eq!(data("[[],[]]").expect("empty").shape(), [2, 0]);
    }

    #[test]
    fn every_f32_reads_back_as_written() {
        let bits = (0..10_000_u32).map(|i| f32::from_bits(i.wrapping_mul(429_497)));
        let values: ndarray::Array1<f32> = bits.filter(|value| value.is_finite()).collect();
        let mut text = Vec::new();
        write_array(&mut text, values.view().into_dyn());
        assert_eq!(data(&String::from_utf8_lossy(&text)), Ok(values.into_dyn()));
    }

    /// Also next to the middles between two f32, where the quick way does not know.
    #[test]
    fn numbers_are_rounded_as_the_standard_library_rounds_them() {
        let at = |i: u32| f64::from(f32::from_bits(0x3000_0000 + i.wrapping_mul(7919) % 0x2000_0000));
        let next = |x: f64| f64::from((x as f32).next_up());
        let middles = (0..20_000).map(|i| f64::midpoint(at(i), next(at(i))));
        let near = middles.flat_map(|x| [x, x.next_up(), x.next_down(), 1.000_000_01 * x]);
        for text in near.flat_map(|x| [format!("{x}"), format!("-{x:.9}"), format!("{x:.17}")]) {
            let expected: f32 = text.parse().expect("a number");
            let quick = decimal(format!("{text},").as_bytes()).map_or(expected, |(value, _)| value);
            assert_eq!(quick.to_bits(), expected.to_bits(), "{text}");
        }
        assert_eq!(decimal(b"-12.5]"), Some((-12.5, 5)));
        assert_eq!(decimal(b"16777217,"), None); // A middle.
        assert_eq!([decimal(b"1e5,"), decimal(b"-,"), decimal(b"1"), decimal(b"1.2.3,")], [None; 4]);
    }

    #[test]
    fn what_is_not_finite_is_read_as_it_is_written() {
        let read = data("[NaN, null, Infinity, -Infinity, nan, -inf, 1e400]").expect("an array");
        let text: Vec<String> = read.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["NaN", "NaN", "inf", "-inf", "NaN", "-inf", "inf"]);
    }

    #[test]
    fn lists_that_are_no_array_are_refused_whichever_comes_first() {
        for (text, problem) in [
            ("[[1,2],[3]]", "lists of 2 and of 1"),
            ("[[],[1]]", "lists of 0 and of 1"),
            ("[[[]],[]]", "lists of 1 and of 0"),
            ("[1,[2]]", "a list stands beside a number"),
            ("[[1],2]", "a number stands beside a list"),
            ("[[],2]", "a number stands beside a list"),
        ] {
            let error = data(text).expect_err(text);
            assert!(error.contains("not an array of numbers") && error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn lines_that_are_no_answer_are_quoted_with_what_is_wrong() {
        for (text, problem) in [
            ("Loading ...", "no JSON object"),
            ("{}", "no `\"` at byte 1"),
            ("{\"id\":1}", "neither `data` nor `error`"),
            ("{\"data\":[1]}", "no `id`"),
            ("{\"id\":1.5,\"data\":[1]}", "no whole number"),
            ("{\"id\":-1,\"data\":[1]}", "no whole number"),
            ("{\"id\":1,\"dat\":[1]}", "no key `dat`"),
            ("{\"id\":1,\"data\":[1,]}", "no number at byte 18"),
            ("{\"id\":1,\"data\":[true]}", "no number at byte 16"),
            ("{\"id\":1,\"data\":[1", "no `,` at byte 17"),
            ("{\"id\":1,\"data\":[1]} {", "something follows"),
            ("{\"id\":1,\"error\":\"no end", "does not end"),
            ("{\"id\":1,\"data\":[ÿ]}", "no number"),
        ] {
            let error = read_answer(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(problem) && error.contains(text), "{text}: {error}");
        }
        let deep = "[".repeat(100_000);
        assert!(data(&deep).expect_err("too deep").contains("more than 16 deep"));
        assert!(shortened("ä".repeat(5000).as_bytes()).ends_with("ä..."));
    }

    /// As they are, and as JSON has them.
    #[test]
    fn what_is_quoted_has_no_control_characters() {
        let quoted = |text: &str| match read_answer(text.as_bytes()) {
            Err(fault) | Ok(Answer { data: Err(fault), .. }) => fault.to_string(),
            Ok(answer) => panic!("{answer:?}"),
        };
        for text in [
            "\x1b[2J",
            "{\"\\u001b[2J\":1}",
            "{\"id\":1,\"error\":\"\\u001b[2J\"}",
            "{\"id\":1,\"data\":{\"\\u001b[2J\":[[1],2]}}",
        ] {
            let message = quoted(text);
            assert!(!message.contains('\x1b') && message.contains("\\u{1b}[2J"), "{text}: {message}");
        }
    }

    #[test]
    fn errors_and_ids_are_read_as_any_language_writes_them() {
        let answer = |text: &str| read_answer(text.as_bytes()).expect("an answer");
        let message = "no \"root\"\n".to_owned();
        let expected = Answer { id: 7, data: Err(WorkerFault::Reported { message }) };
        assert_eq!(answer("{\"error\": \"no \\\"root\\\"\\n\", \"id\": 7}\r"), expected);
        assert_eq!(answer("{\"id\":1e+05,\"data\":[1]}").id, 100_000);
        assert_eq!(answer("{\"id\":12.0,\"data\":[1]}").id, 12);
        assert_eq!(answer("{\"id\":9007199254740991,\"data\":[1]}").id, (1 << 53) - 1);
    }
}
