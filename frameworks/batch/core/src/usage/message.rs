//! Sums as messages: what a client sees and what is kept of them are the same `v1::JobUsage`.

use proffer_wire::v1;

use super::Sums;

macro_rules! convert {
    ($($field:ident),*) => {
        impl From<Sums> for v1::JobUsage {
            fn from(sums: Sums) -> Self {
                let Sums { $($field),* } = sums;
                Self { $($field),* }
            }
        }

        impl From<v1::JobUsage> for Sums {
            fn from(message: v1::JobUsage) -> Self {
                let v1::JobUsage { $($field),* } = message;
                Self { $($field),* }
            }
        }
    };
}

convert!(
    attempts,
    finished,
    unmeasured,
    unmeasured_us,
    waiting_ms,
    longest_waiting_ms,
    running_us,
    cpu_time_us,
    cpu_allocated_us,
    mem_allocated_kib_s,
    mem_peak_bytes,
    mem_peaks_bytes,
    mem_requested_bytes,
    io_measured,
    read_bytes,
    write_bytes
);
