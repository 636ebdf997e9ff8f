//! What fuzzing has found (`fuzz/seeds`), replayed: each input does what its target wants of it, on the compiler that builds the gateway. And what fuzzing
//! begins with: the sample telegrams of every profile are among the seeds.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/lib.rs"]
mod targets;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn every_target_has_a_name_a_file_and_seeds() {
    let names: BTreeSet<String> = targets::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, names_in(&folder("fuzz_targets")));
    assert_eq!(names, names_in(&folder("seeds")));
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not built");
    }
}

#[test]
fn whatever_fuzzing_has_found_stays_mended() {
    for (name, target) in targets::TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(folder("seeds").join(name)).unwrap() {
            let path = entry.unwrap().path();
            let input = fs::read(&path).unwrap();
            // The one that fails is the last that is named.
            println!("{}", path.display());
            target(&input);
            count += 1;
        }
        assert!(count > 0, "{name} has no seeds");
    }
}

/// With `LIMEGATE_BLESS=1` they are written.
#[test]
fn fuzzing_begins_with_the_sample_telegrams_of_every_profile() {
    let bless = std::env::var_os("LIMEGATE_BLESS").is_some();
    let samples = targets::samples();
    let profiles: BTreeSet<&str> = limegate::codec::Profile::builtin_names().into_iter().collect();
    for profile in &profiles {
        assert!(samples.iter().any(|(_, file, _)| file.starts_with(&format!("sample-{profile}-"))), "{profile} has none");
    }
    for (target, file, input) in samples {
        let path = folder("seeds").join(target).join(file);
        if bless {
            fs::write(&path, &input).unwrap();
        }
        assert_eq!(fs::read(&path).unwrap_or_default(), input, "{}: LIMEGATE_BLESS=1 writes it", path.display());
    }
}
