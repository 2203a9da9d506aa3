/* sched/coro_x86_64.S -- two calls that end on another stack than they began on: sched/coro.h says what they do.
 *
 * They return by a jump, not by ret: the processor's return stack remembers the other side's calls, so that every ret after a
 * switch is mispredicted (5 ns each, twice the switch itself); a jump is predicted by where it went before.
 *
 * A context that is left so has the frame that sched/ctx_native.h describes: pc, rbp, rbx.
 * SPDX-License-Identifier: Apache-2.0 OR MIT */

.macro ENTER name
        .p2align 4
        .globl  \name
        .hidden \name
        .type   \name, @function
\name:
        .cfi_startproc
        endbr64
        pushq   %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        movq    %rsp, %rbp
        .cfi_def_cfa_register %rbp
        pushq   %rbx
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        .cfi_offset %rbx, -24
        .cfi_offset %r12, -32
        .cfi_offset %r13, -40
        .cfi_offset %r14, -48
        .cfi_offset %r15, -56
        subq    $168, %rsp              /* aligned; 160 bytes for the callee */
.endm

/* Leave %rdi (ctx) for %rsi (ctx) with %rdx; comes back at 1: with the note in %rdi. */
.macro LEAVE
        leaq    1f(%rip), %rcx
        subq    $24, %rsp
        movq    %rcx, (%rsp)
        movq    %rbp, 8(%rsp)
        movq    %rbx, 16(%rsp)
        movq    %rsp, (%rdi)
        movq    (%rsi), %rcx
        movq    %rdx, %rdi
        movq    8(%rcx), %rbp
        movq    16(%rcx), %rbx
        leaq    24(%rcx), %rsp
        jmp     *(%rcx)
1:
.endm

/* Return what %rcx points to, a weft_exit. */
.macro RETURN
        movq    (%rcx), %rax
        movq    8(%rcx), %rdx
        movq    -8(%rbp), %rbx
        movq    -16(%rbp), %r12
        movq    -24(%rbp), %r13
        movq    -32(%rbp), %r14
        movq    -40(%rbp), %r15
        movq    8(%rbp), %rcx
        movq    (%rbp), %rdi
        leaq    16(%rbp), %rsp
        movq    %rdi, %rbp
        .cfi_def_cfa %rsp, 0
        .cfi_same_value %rbp
        .cfi_register %rip, %rcx
        jmp     *%rcx
        .cfi_endproc
.endm

        .text
/* weft_exit weft__coro_hop_jump(ctx *from, ctx *to, void *note, const weft_exit *result) */
        ENTER   weft__coro_hop_jump
        movq    %rcx, %rbx
        LEAVE
        movq    %rbx, %rcx
        RETURN
        .size   weft__coro_hop_jump, . - weft__coro_hop_jump

/* weft_exit weft__coro_drive_jump(a1, a2, a3, a4, a5, begin) */
        ENTER   weft__coro_drive_jump
        movq    %r9, %rax
        movq    %rsp, %r9
        call    *%rax
        testq   %rax, %rax
        je      3f
2:      movq    16(%rsp), %rdi
        movq    %rax, %rsi
        xorl    %edx, %edx
        LEAVE
        movq    %rdi, %rsi
        movq    %rsp, %rdi
        call    *24(%rsp)
        testq   %rax, %rax
        jne     2b
3:      movq    %rsp, %rcx
        RETURN
        .size   weft__coro_drive_jump, . - weft__coro_drive_jump

        .section .note.GNU-stack,"",@progbits
