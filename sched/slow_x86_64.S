/* sched/slow_x86_64.S -- the slow paths of fork and join for inlined code: every general register but rax (the
 * result) and r11 survives; of the vector registers those that only AVX-512 has, zmm16 to zmm31 and k1 to k7, where
 * weft__wide_vectors says that they exist (the C library uses them in memset and the like, whoever compiled us).
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
        andq    $-64, %rsp
        cmpb    $0, weft__wide_vectors(%rip)
        jne     1f
        call    \target
        jmp     2f
1:      subq    $1088, %rsp
        .irp    n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        vmovdqu64 %zmm\n, (\n-16)*64(%rsp)
        .endr
        .irp    n, 1, 2, 3, 4, 5, 6, 7
        kmovq   %k\n, 1024+(\n-1)*8(%rsp)
        .endr
        call    \target
        .irp    n, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        vmovdqu64 (\n-16)*64(%rsp), %zmm\n
        .endr
        .irp    n, 1, 2, 3, 4, 5, 6, 7
        kmovq   1024+(\n-1)*8(%rsp), %k\n
        .endr
2:
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
