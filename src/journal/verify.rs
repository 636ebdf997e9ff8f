//! `verify`: reads every record there is and says what does not check out.

use std::ops::ControlFlow;

use serde::Serialize;

use crate::domain::Seq;

use super::format::CARRIED;
use super::handle::Journal;
use super::record::Record;
use super::state::Carried;
use super::store::ReadError;

/// Something that does not check out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The segment, by the first number of its file's name.
    pub segment: u64,
    /// The first sequence concerned.
    pub first_seq: Seq,
    /// How many records.
    pub records: u64,
    /// What is wrong, for people.
    pub what: String,
}

/// What a walk through the whole log found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Segments read.
    pub segments: u64,
    /// Records that check out and can be decoded.
    pub records: u64,
    /// Passes among them.
    pub passes: u64,
    /// Whatever does not. Empty: all is well.
    pub findings: Vec<Finding>,
}

impl Journal {
    /// Walks every record: checksums, sequences without gaps, contents that decode, passes numbered without gaps.
    ///
    /// # Errors
    /// When the disk refuses to be read.
    pub fn verify(&self) -> Result<Verified, ReadError> {
        let log = &self.core().log;
        let mut report = Verified::default();
        let mut number: Option<u64> = None;
        for segment in log.segments() {
            report.segments += 1;
            let (mut wrong, mut counted, mut numbers) = (Vec::new(), 0, Vec::new());
            let read = log.scan(
                &segment,
                |frame| {
                    let decoded = match frame.kind {
                        CARRIED => {
                            minicbor::decode::<Carried>(frame.payload).and_then(|carried| minicbor::decode::<Record>(&carried.payload).map(|_| None))
                        }
                        _ => minicbor::decode::<Record>(frame.payload).map(Some),
                    };
                    match decoded {
                        Ok(record) => {
                            counted += 1;
                            if let Some(Record::Pass(pass)) = record {
                                numbers.push((frame.seq, pass.number));
                            }
                        }
                        Err(error) => wrong.push((frame.seq, 1, format!("cannot be decoded: {error}"))),
                    }
                    ControlFlow::Continue(())
                },
                |_, _| {},
            );
            let _ = read.map_err(|error| ReadError::Disk(error.to_string()))?;
            report.records += counted;
            for (seq, this) in numbers {
                report.passes += 1;
                if let Some(before) = number.filter(|before| before + 1 != this) {
                    wrong.push((seq, 0, format!("pass {this} follows pass {before}")));
                }
                number = Some(this);
            }
            let findings = wrong.into_iter().map(|(first_seq, records, what)| Finding { segment: segment.ordinal, first_seq, records, what });
            report.findings.extend(findings);
        }
        let damaged = log.damaged().into_iter();
        report.findings.extend(damaged.map(|(segment, first_seq, records, what)| Finding { segment, first_seq, records, what }));
        self.core().settle_losses();
        Ok(report)
    }
}
