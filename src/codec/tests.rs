//! What every profile keeps to, whatever its codec.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::{Bad, Decoded, Expected, Profile};
use crate::domain::MediumKind;

static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    Profile::builtin_names().into_iter().map(|name| Profile::builtin(name).unwrap_or_else(|| panic!("{name} does not load"))).collect()
});

/// Feeds the chunks, then lets the line be silent.
fn decode<'a>(profile: &Profile, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Expected> {
    let mut decoder = profile.decoder();
    let mut out = Vec::new();
    for chunk in chunks {
        decoder.push(chunk, &mut out);
    }
    decoder.idle(&mut out);
    assert_eq!(decoder.idle_after_ms(), None, "{}: a silence leaves nothing begun", profile.name);
    out.iter().map(Expected::of).collect()
}

fn good(found: &[Expected]) -> Vec<Expected> {
    found.iter().filter(|one| !matches!(one, Expected::Bad(_))).cloned().collect()
}

/// All of a profile's samples in one stream; where only silence ends a frame, they cannot be glued.
fn glued(profile: &Profile) -> (Vec<u8>, Vec<Expected>) {
    let many = if profile.name == "scanner-idle" { 1 } else { usize::MAX };
    let samples = profile.samples.iter().take(many);
    (samples.clone().flat_map(|sample| sample.bytes.clone()).collect(), samples.flat_map(|sample| sample.gives.clone()).collect())
}

#[test]
fn every_file_of_the_readers_folder_is_built_in_under_its_own_name() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/readers");
    let files: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(files, Profile::builtin_names().into_iter().map(str::to_owned).collect());
    for name in files {
        let path = folder.join(format!("{name}.toml"));
        assert_eq!(Profile::load(&path).unwrap().name, name);
        assert_eq!(Profile::builtin(&name), Profile::load(&path).ok());
    }
}

#[test]
fn the_profile_that_the_guide_shows_loads() {
    let guide = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/adding-a-reader.md")).unwrap();
    let profiles: Vec<&str> =
        guide.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).filter(|block| block.contains("[[sample]]")).collect();
    assert_eq!(profiles.len(), 1);
    assert_eq!(Profile::parse("guide", profiles[0]).unwrap().name, "acme-pedestal");
}

#[test]
fn a_profile_that_is_wrong_is_refused_with_its_place_and_reason() {
    let good = "name = \"p\"\ntitle = { ru = \"p\", en = \"p\" }\n[codec.scanner-line]\nterminator = \"cr\"\n[[sample]]\ntext = \"LG-1\\r\"\ngives = [{ medium = \"qr\", value = \"LG-1\", format = \"scanner-line\" }]\n";
    Profile::parse("p", good).unwrap();
    for (from, to, said) in [
        ("terminator", "terminatr", "terminatr"),
        ("\"cr\"", "\"cr\"\nidle_ms = 5", "idle_ms"),
        ("\"cr\"", "\"silence\"", "idle_ms"),
        ("\"cr\"", "\"cr\"\nmax_len = 0", "max_len"),
        ("name = \"p\"", "name = \"P p\"", "hyphens"),
        ("LG-1\\r", "LG-2\\r", "sample 1 should give"),
        ("[[sample]]", "[line]\nbaud = 1\n[[sample]]", "300 to 4000000"),
        ("[[sample]]", "[answers]\nack = \"6\"\nnak = \"15\"\n[[sample]]", "answers.ack"),
        ("scanner-line]", "osdp]", "osdp"),
        ("\"cr\"", "\"cr\"\nformat = \"dec\"", "content = \"uid\""),
        ("\"cr\"", "\"cr\"\ncontent = \"uid\"\nformat = \"dec\"", "uid_bytes"),
        ("\"cr\"", "\"cr\"\ncontent = \"uid\"\ndelimiter = \"A\"", "delimiter"),
        ("[[sample]]", "[voice]\ncertainty = \"documented\"\n[[sample]]", "at least one of go"),
        ("[[sample]]", "[voice]\nno = \"4\"\ncertainty = \"documented\"\n[[sample]]", "voice.no"),
        ("[[sample]]", "[voice]\nno = \"46\"\n[[sample]]", "certainty"),
        ("medium = \"qr\"", "removal = true", "sample 1: gives takes"),
        ("text = \"LG-1\\r\"", "hex = \"0\"", "sample 1: hex"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        let error = Profile::parse("p.toml", &text).unwrap_err().to_string();
        assert!(error.contains("p.toml") && error.contains(said), "{to}: {error}");
    }
}

#[test]
fn every_sample_decodes_however_it_is_cut() {
    for profile in PROFILES.iter() {
        for sample in &profile.samples {
            let bytes = &sample.bytes;
            for at in 0..=bytes.len() {
                let (head, tail) = bytes.split_at(at);
                assert_eq!(decode(profile, [head, tail]), sample.gives, "{} cut at {at}", profile.name);
            }
            assert_eq!(decode(profile, bytes.chunks(1)), sample.gives, "{} byte by byte", profile.name);
        }
    }
}

#[test]
fn glued_telegrams_give_what_each_gives() {
    for profile in PROFILES.iter() {
        let (stream, gives) = glued(profile);
        assert_eq!(decode(profile, [stream.as_slice()]), gives, "{}", profile.name);
        assert_eq!(decode(profile, stream.chunks(1)), gives, "{} byte by byte", profile.name);
    }
}

#[test]
fn noise_before_a_telegram_costs_nothing() {
    for profile in PROFILES.iter() {
        for sample in &profile.samples {
            for noise in [b"\0\xFE\x01".as_slice(), b"\x7Fgarbage\x05\xC3\x0E"] {
                let found = decode(profile, [noise, &sample.bytes]);
                assert_eq!(good(&found), good(&sample.gives), "{}", profile.name);
            }
        }
    }
}

#[test]
fn a_telegram_that_broke_off_is_not_glued_to_the_next() {
    for profile in PROFILES.iter() {
        let Some(sample) = profile.samples.iter().find(|sample| matches!(sample.gives.as_slice(), [Expected::Medium { .. }])) else {
            panic!("{} has no sample of a single medium", profile.name);
        };
        let mut decoder = profile.decoder();
        let mut out = Vec::new();
        decoder.push(&sample.bytes[..sample.bytes.len() - 3], &mut out);
        assert!(decoder.idle_after_ms().is_some(), "{}", profile.name);
        decoder.reset();
        assert_eq!(decoder.idle_after_ms(), None, "{}", profile.name);
        decoder.push(&sample.bytes, &mut out);
        decoder.idle(&mut out);
        let found: Vec<Expected> = out.iter().map(Expected::of).collect();
        assert_eq!(found, sample.gives, "{}", profile.name);
    }
}

proptest! {
    #[test]
    fn any_chunking_of_any_bytes_gives_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..600), cuts in proptest::collection::vec(1_usize..40, 1..50)) {
        for profile in PROFILES.iter() {
            let mut rest = bytes.as_slice();
            let mut chunks = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (chunk, after) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            prop_assert_eq!(decode(profile, chunks), decode(profile, [bytes.as_slice()]), "{}", profile.name);
        }
    }

    #[test]
    fn a_doubled_telegram_is_decoded_twice(picked in any::<proptest::sample::Index>()) {
        for profile in PROFILES.iter().filter(|profile| profile.name != "scanner-idle") {
            let sample = &profile.samples[picked.index(profile.samples.len())];
            let twice: Vec<Expected> = sample.gives.iter().chain(&sample.gives).cloned().collect();
            prop_assert_eq!(decode(profile, [sample.bytes.as_slice(), &sample.bytes]), twice, "{}", profile.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn endless_noise_is_bounded(seed in any::<u64>()) {
        let mut rng = fastrand::Rng::with_seed(seed);
        for profile in PROFILES.iter() {
            let mut decoder = profile.decoder();
            let mut out = Vec::new();
            // Printable bytes only, and no colon: no frame ever begins by its header or ends.
            let noise: Vec<u8> = (0..40_000).map(|_| rng.u8(b' '..b'~')).map(|byte| if byte == b':' { b';' } else { byte }).collect();
            decoder.push(&noise, &mut out);
            decoder.idle(&mut out);
            prop_assert!(out.iter().all(|one| matches!(one, Decoded::Bad(Bad::TooLong | Bad::Cut))), "{}: {:?}", profile.name, out);
            prop_assert!(out.len() < 10, "{}", profile.name);
        }
    }
}

/// The one card that a telegram tells of.
fn card(profile: &str, telegram: &str) -> String {
    let profile = PROFILES.iter().find(|one| one.name == profile).unwrap();
    match decode(profile, [telegram.as_bytes()]).as_slice() {
        [Expected::Medium { kind: MediumKind::CardUid, value, .. }] => value.clone(),
        other => panic!("{}: {other:?}", profile.name),
    }
}

#[test]
fn one_card_is_one_medium_whichever_kind_of_reader_it_is_held_at() {
    for (reader, telegram) in [("ironlogic-z2", "Em-Marine[1700] 009,22847\r\n"), ("colon-lrc", ":170009593F48"), ("rdm6300", "\x02170009593F78\x03")]
    {
        assert_eq!(card(reader, telegram), "170009593F", "{reader}");
    }
    for (reader, telegram) in
        [("ironlogic-z2", "Mifare[BCD14264] 1K (0004,08) 066,53692\r\n"), ("uid-hex", "BCD14264\r\n"), ("uid-dec", "1682100668\r\n")]
    {
        assert_eq!(card(reader, telegram), "BCD14264", "{reader}");
    }
    assert_eq!(card("uid-w26pair", "066,53692\r\n"), "42D1BC", "a pair is not the card: it is some of its bits");
}

#[test]
fn readers_that_print_uids_of_four_and_seven_bytes_in_opposite_orders_meet_through_their_options() {
    let profile = |codec: &str, sample: &str, value: &str, format: &str| {
        let text = format!(
            "name = \"p\"\ntitle = {{ ru = \"p\", en = \"p\" }}\n{codec}\n[[sample]]\ntext = \"{sample}\\r\\n\"\ngives = [{{ medium = \"card_uid\", value = \"{value}\", format = \"{format}\" }}]\n"
        );
        Profile::parse("p", &text).unwrap();
    };
    let mixed = "[codec.ironlogic-text]\nuid_order = \"mixed7\"";
    profile(mixed, "Mifare[BCD14264] 1K (0004,08) 066,53692", "BCD14264", "ironlogic-text/mifare");
    profile(mixed, "Mifare[FA592F830412E6] UL (0144,00) 004,04838", "E61204832F59FA", "ironlogic-text/mifare");
    let turned = "[codec.scanner-line]\nterminator = \"cr_lf\"\ncontent = \"uid\"\nuid_order = \"reversed\"\ndelimiter = \"-\"";
    profile(turned, "64-42-D1-BC", "BCD14264", "scanner-line/hex");
    profile(turned, "FA-59-2F-83-04-12-E6", "E61204832F59FA", "scanner-line/hex");
}

#[test]
fn only_a_number_pair_is_too_short_to_pay_with() {
    let short: Vec<&str> = PROFILES.iter().filter(|profile| profile.gives_short_uids()).map(|profile| profile.name.as_str()).collect();
    assert_eq!(short, ["uid-w26pair"]);
}
