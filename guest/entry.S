/* SPDX-License-Identifier: MIT */
/*
 * entry.S - from the first instruction to main(): PVH starts us in 32-bit
 * protected mode without paging, EBX pointing at its letter; main() wants long
 * mode and a stack.  The tables for that are data: to fill them would cost an
 * emulated processor more than all the rest.
 */
#define PRESENT_WRITABLE 3
#define LARGE 0x80
#define CODE 8
#define DATA 16

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18		/* sizes of name and value; XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start

	.code32
	.text
	.global start
start:
	mov $stack_top, %esp
	lgdt gdtr
	mov $pml4, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x20, %eax		/* PAE */
	mov %eax, %cr4
	mov $0xc0000080, %ecx	/* EFER: LME */
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	or $0x80000000, %eax	/* PG */
	mov %eax, %cr0
	ljmp $CODE, $long_mode

	.code64
long_mode:
	mov $DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %ebx, %edi
	call start_guest

/*
 * The processor's exceptions: whichever it is, exception() prints it and does
 * not return.  Those without an error code get one, so that all look alike.
 */
	.global exceptions
exceptions:
vector = 0
	.rept 32
	.balign 16
	.if (vector == 8) | ((vector >= 10) & (vector <= 14)) | (vector == 17)
	.else
	push $0
	.endif
	push $vector
	jmp fatal_exception
vector = vector + 1
	.endr
fatal_exception:
	mov %rsp, %rdi
	and $-16, %rsp
	cld
	call exception

	.data
	.balign 16
gdt:	.quad 0
	.quad 0x00af9b000000ffff	/* CODE: long mode */
	.quad 0x00cf93000000ffff	/* DATA */
gdtr:	.word . - gdt - 1
	.long gdt

/* Addresses mean themselves, from 0 to 1 GiB and from 3 to 4, where devices are. */
	.balign 4096
pml4:	.quad pdpt + PRESENT_WRITABLE
	.fill 511, 8, 0
pdpt:	.quad ram + PRESENT_WRITABLE
	.quad 0, 0
	.quad devices + PRESENT_WRITABLE
	.fill 508, 8, 0
page = 0
ram:	.rept 512
	.quad page + PRESENT_WRITABLE + LARGE
page = page + 0x200000
	.endr
page = 0xc0000000
devices:
	.rept 512
	.quad page + PRESENT_WRITABLE + LARGE
page = page + 0x200000
	.endr

	.bss
	.balign 16
	.skip 16384
stack_top:

	.section .note.GNU-stack, "", @progbits
