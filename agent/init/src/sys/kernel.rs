//! System calls themselves, without a C library in between: its start in a static program costs more than the rest of
//! init (it asks the processor for its features, which in a virtual machine is an exit for every question).

use core::arch::asm;

/// An argument of a call: a number or a pointer.
pub(crate) trait Word {
    fn word(self) -> usize;
}

macro_rules! word {
    ($($number:ty),*) => {
        $(impl Word for $number {
            #[expect(clippy::allow_attributes, reason = "which of these apply depends on the type")]
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as C passes it: signs are kept")]
            #[inline(always)]
            fn word(self) -> usize {
                self as usize
            }
        })*
    };
}

word!(i32, u32, i64, u64, usize);

impl<T> Word for *const T {
    #[inline(always)]
    fn word(self) -> usize {
        self.addr()
    }
}

impl<T> Word for *mut T {
    #[inline(always)]
    fn word(self) -> usize {
        self.addr()
    }
}

/// Makes the call of a name with these arguments; returns what the kernel does, errors as their negative number.
macro_rules! syscall {
    ($name:ident $(, $argument:expr)* $(,)?) => {
        $crate::sys::kernel::call($crate::sys::kernel::Word::word(libc::$name), [$($crate::sys::kernel::Word::word($argument)),*])
    };
}
pub(crate) use syscall;

/// Makes a call.
///
/// # Safety
///
/// As the call has it.
#[inline(always)]
pub(crate) unsafe fn call<const N: usize>(number: usize, arguments: [usize; N]) -> isize {
    let mut all = [0; 6];
    all[..N].copy_from_slice(&arguments);
    // SAFETY: the caller's.
    unsafe { call_with(number, all) }
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn call_with(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel keeps all registers but these; what memory it writes to is the caller's business.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result
}

#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn call_with(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel keeps all registers but the first; what memory it writes to is the caller's business.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    result
}
