//! What each measure must reach, and what is aimed for.

use std::fmt;

/// Limits of a measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bar {
    /// A share of the reflector, at least.
    Share {
        /// Must be reached.
        must: f64,
        /// Is aimed for.
        aim: f64,
    },
    /// Nanoseconds, at most.
    Net {
        /// Must not be exceeded.
        must: f64,
        /// Is aimed for.
        aim: f64,
    },
    /// A ratio, at least.
    AtLeast {
        /// Must be reached.
        must: f64,
        /// Is aimed for.
        aim: f64,
    },
    /// A ratio, at most.
    AtMost {
        /// Must not be exceeded.
        must: f64,
        /// Is aimed for.
        aim: f64,
    },
}

/// The bar of the measure with this name.
pub fn of(name: &str) -> Option<Bar> {
    let share = |must, aim| Some(Bar::Share { must, aim });
    match name {
        "lb-a" | "lb-a-edns" => share(0.78, 0.85),
        "lb-a-names" => share(0.75, 0.82),
        "b-referral" | "b-cname" => share(0.76, 0.84),
        "b-referral-1m-uniform" => share(0.48, 0.60),
        "b-referral-1m-zipf" => share(0.65, 0.75),
        "lb-nodata" => share(0.75, 0.83),
        "b-nxdomain" => share(0.70, 0.79),
        "two-queues" => Some(Bar::AtLeast {
            must: 0.95,
            aim: 1.0,
        }),
        "net-answer" => Some(Bar::Net {
            must: 55.0,
            aim: 35.0,
        }),
        "net-pass-dns" => Some(Bar::Net {
            must: 40.0,
            aim: 25.0,
        }),
        "net-pass-other" => Some(Bar::Net {
            must: 12.0,
            aim: 8.0,
        }),
        "worst-name" => Some(Bar::AtMost {
            must: 2.0,
            aim: 1.5,
        }),
        _ => None,
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Share { must, .. } => format!("{:.0} %", must * 100.0),
            Self::Net { must, .. } => format!("{must:.0} ns"),
            Self::AtLeast { must, .. } | Self::AtMost { must, .. } => format!("{must:.2}"),
        };
        formatter.pad(&text)
    }
}
