//! The reader of definitions, the compiler behind it, and the words for what is wrong.

use super::Target;
use crate::cases;

pub const TARGET: Target = Target {
    name: "definition",
    seeds,
    run,
};

fn seeds() -> Vec<Vec<u8>> {
    let cases = cases::all().iter().map(|c| c.text.clone());
    cases
        .chain(cases::texts())
        .map(String::into_bytes)
        .collect()
}

fn run(input: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(input) else {
        return false;
    };
    let text = cases::on_edge(text);
    let result = seqnic_compiler::read(&text).and_then(|d| seqnic_compiler::compile(&d));
    match result {
        Ok(image) => {
            // What was compiled is an image to everyone else too.
            let file = seqnic_image::write(&image);
            assert_eq!(seqnic_image::read(&file).as_ref(), Ok(&image));
        }
        Err(errors) => {
            assert!(!errors.is_empty(), "refused without an error");
            // Errors have places in the text, which rendering looks up.
            seqnic_compiler::report::render(&errors, "fuzz.yaml", &text, false);
        }
    }
    true
}
