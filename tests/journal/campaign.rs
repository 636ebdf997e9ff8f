//! What the campaigns share: how many trials, which seed, the line at the end.

/// A campaign's trials and where its chance comes from.
pub struct Campaign {
    name: &'static str,
    pub trials: u64,
    pub seed: u64,
    violations: Vec<String>,
    done: u64,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

impl Campaign {
    pub fn new(name: &'static str, quick: u64) -> Self {
        let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
        Self { name, trials: number("TRIALS").unwrap_or(quick), seed, violations: Vec::new(), done: 0 }
    }

    /// One trial; `Err` says what was violated.
    pub fn trial(&mut self, what: Result<(), String>) {
        self.done += 1;
        if let Err(what) = what {
            if self.violations.len() < 10 {
                eprintln!("{}: violation: {what}", self.name);
            }
            self.violations.push(what);
        }
    }

    pub fn more(&self) -> bool {
        self.done < self.trials
    }

    pub fn done(&self) -> u64 {
        self.done
    }

    /// Prints the line; fails on a violation.
    pub fn end(self) {
        let git = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
        let commit = git.ok().filter(|out| out.status.success()).map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
        let commit = commit.unwrap_or_else(|| "unknown".to_owned());
        println!("{}: trials {}, violations {}, seed {}, commit {commit}", self.name, self.done, self.violations.len(), self.seed);
        assert!(self.violations.is_empty(), "seed {}: {:?}", self.seed, self.violations.first());
        assert!(self.done >= self.trials.min(1), "nothing was tried");
    }
}
