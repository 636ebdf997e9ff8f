//! Gates that the box opens, as `limegate demo --doors` plays them: readers and a module on ptys, the gateway as a child process, Lime and a CRM beside it.
//!
//! Cards are let in and refused online and from the snapshot, used tickets are tried again, a person opens a gate, and the books of all sides must agree.

use std::process::Command;

#[test]
fn the_books_of_gates_that_decide_balance_over_a_spell_without_lime() {
    let seed = std::env::var("LIMEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u32(..));
    let played = Command::new(env!("CARGO_BIN_EXE_limegate"))
        .args(["demo", "--doors", "--for", "14s", "--lang", "en", "--seed", &seed.to_string()])
        .output()
        .expect("the demo runs");
    let (told, trouble) = (String::from_utf8_lossy(&played.stdout), String::from_utf8_lossy(&played.stderr));
    assert!(played.status.success() && told.contains("the books balance"), "seed {seed}\n{told}\n{trouble}");
}
