/* sched/slow_x86_64.S -- the slow paths of fork and join for inlined code: every general register but rax (the
 * result) and r11 survives.  Vector registers do not.
 *
 * The stack is aligned here, because inline assembly calls from wherever the stack pointer is.  While the C
 * function has suspended the fiber, the saved registers lie on the fiber's own stack.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */

.macro KEEP name, target, sp
        .text
        .p2align 4
        .globl  \name
        .type   \name, @function
\name:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        pushq   %rcx
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        leaq    16(%rbp), \sp          /* the caller's stack pointer: what lies below is dead */
        andq    $-16, %rsp
        call    \target
        movq    -8(%rbp), %rcx
        movq    -16(%rbp), %rdx
        movq    -24(%rbp), %rsi
        movq    -32(%rbp), %rdi
        movq    -40(%rbp), %r8
        movq    -48(%rbp), %r9
        movq    -56(%rbp), %r10
        leave
        .cfi_def_cfa %rsp, 8
        ret
        .cfi_endproc
        .size   \name, .-\name
.endm

KEEP weft__fork_slow_keep, weft__fork_slow_at, %rcx
KEEP weft__take_slow_keep, weft__take_slow_at, %rsi

        .section .note.GNU-stack, "", @progbits
