// SPDX-License-Identifier: MIT
//
// Generated from Xen's public headers, whose licence is MIT too. Do not edit: see README.md.
// Interface version 0x00040e00, clang target i686-unknown-none-elf.


pub const FLAT_RING1_CS: u32 = 57369;
pub const FLAT_RING1_DS: u32 = 57377;
pub const FLAT_RING1_SS: u32 = 57377;
pub const FLAT_RING3_CS: u32 = 57387;
pub const FLAT_RING3_DS: u32 = 57395;
pub const FLAT_RING3_SS: u32 = 57395;
pub const FLAT_KERNEL_CS: u32 = 57369;
pub const FLAT_KERNEL_DS: u32 = 57377;
pub const FLAT_KERNEL_SS: u32 = 57377;
pub const FLAT_USER_CS: u32 = 57387;
pub const FLAT_USER_DS: u32 = 57395;
pub const FLAT_USER_SS: u32 = 57395;
pub const __HYPERVISOR_VIRT_START_PAE: u32 = 4118806528;
pub const MACH2PHYS_VIRT_START_PAE: u32 = 4118806528;
pub const MACH2PHYS_VIRT_END_PAE: u32 = 4135583744;
pub const __HYPERVISOR_VIRT_START_NONPAE: u32 = 4227858432;
pub const MACH2PHYS_VIRT_START_NONPAE: u32 = 4227858432;
pub const MACH2PHYS_VIRT_END_NONPAE: u32 = 4232052736;
pub const __HYPERVISOR_VIRT_START: u32 = 4118806528;
pub const HYPERVISOR_VIRT_START: u32 = 4118806528;
pub const MACH2PHYS_VIRT_START: u32 = 4118806528;
pub const MACH2PHYS_VIRT_END: u32 = 4135583744;
pub const MACH2PHYS_NR_ENTRIES: u32 = 4194304;
pub const FIRST_RESERVED_GDT_PAGE: u32 = 14;
pub const FIRST_RESERVED_GDT_BYTE: u32 = 57344;
pub const FIRST_RESERVED_GDT_ENTRY: u32 = 7168;
pub const XEN_LEGACY_MAX_VCPUS: u32 = 32;
pub const VGCF_I387_VALID: u32 = 1;
pub const VGCF_IN_KERNEL: u32 = 4;
pub const VGCF_i387_valid: u32 = 1;
pub const VGCF_in_kernel: u32 = 4;
pub const VGCF_failsafe_disables_events: u32 = 8;
pub const VGCF_syscall_disables_events: u32 = 16;
pub const VGCF_online: u32 = 32;
pub const XEN_CPUID_NO_SUBLEAF: u32 = 4294967295;
pub const XEN_HVM_DEBUGCONS_IOPORT: u32 = 233;
pub const __HYPERVISOR_set_trap_table: u32 = 0;
pub const __HYPERVISOR_mmu_update: u32 = 1;
pub const __HYPERVISOR_set_gdt: u32 = 2;
pub const __HYPERVISOR_stack_switch: u32 = 3;
pub const __HYPERVISOR_set_callbacks: u32 = 4;
pub const __HYPERVISOR_fpu_taskswitch: u32 = 5;
pub const __HYPERVISOR_sched_op_compat: u32 = 6;
pub const __HYPERVISOR_platform_op: u32 = 7;
pub const __HYPERVISOR_set_debugreg: u32 = 8;
pub const __HYPERVISOR_get_debugreg: u32 = 9;
pub const __HYPERVISOR_update_descriptor: u32 = 10;
pub const __HYPERVISOR_memory_op: u32 = 12;
pub const __HYPERVISOR_multicall: u32 = 13;
pub const __HYPERVISOR_update_va_mapping: u32 = 14;
pub const __HYPERVISOR_set_timer_op: u32 = 15;
pub const __HYPERVISOR_event_channel_op_compat: u32 = 16;
pub const __HYPERVISOR_xen_version: u32 = 17;
pub const __HYPERVISOR_console_io: u32 = 18;
pub const __HYPERVISOR_physdev_op_compat: u32 = 19;
pub const __HYPERVISOR_grant_table_op: u32 = 20;
pub const __HYPERVISOR_vm_assist: u32 = 21;
pub const __HYPERVISOR_update_va_mapping_otherdomain: u32 = 22;
pub const __HYPERVISOR_iret: u32 = 23;
pub const __HYPERVISOR_vcpu_op: u32 = 24;
pub const __HYPERVISOR_set_segment_base: u32 = 25;
pub const __HYPERVISOR_mmuext_op: u32 = 26;
pub const __HYPERVISOR_xsm_op: u32 = 27;
pub const __HYPERVISOR_nmi_op: u32 = 28;
pub const __HYPERVISOR_sched_op: u32 = 29;
pub const __HYPERVISOR_callback_op: u32 = 30;
pub const __HYPERVISOR_xenoprof_op: u32 = 31;
pub const __HYPERVISOR_event_channel_op: u32 = 32;
pub const __HYPERVISOR_physdev_op: u32 = 33;
pub const __HYPERVISOR_hvm_op: u32 = 34;
pub const __HYPERVISOR_sysctl: u32 = 35;
pub const __HYPERVISOR_domctl: u32 = 36;
pub const __HYPERVISOR_kexec_op: u32 = 37;
pub const __HYPERVISOR_tmem_op: u32 = 38;
pub const __HYPERVISOR_argo_op: u32 = 39;
pub const __HYPERVISOR_xenpmu_op: u32 = 40;
pub const __HYPERVISOR_dm_op: u32 = 41;
pub const __HYPERVISOR_hypfs_op: u32 = 42;
pub const __HYPERVISOR_arch_0: u32 = 48;
pub const __HYPERVISOR_arch_1: u32 = 49;
pub const __HYPERVISOR_arch_2: u32 = 50;
pub const __HYPERVISOR_arch_3: u32 = 51;
pub const __HYPERVISOR_arch_4: u32 = 52;
pub const __HYPERVISOR_arch_5: u32 = 53;
pub const __HYPERVISOR_arch_6: u32 = 54;
pub const __HYPERVISOR_arch_7: u32 = 55;
pub const VIRQ_TIMER: u32 = 0;
pub const VIRQ_DEBUG: u32 = 1;
pub const VIRQ_CONSOLE: u32 = 2;
pub const VIRQ_DOM_EXC: u32 = 3;
pub const VIRQ_TBUF: u32 = 4;
pub const VIRQ_DEBUGGER: u32 = 6;
pub const VIRQ_XENOPROF: u32 = 7;
pub const VIRQ_CON_RING: u32 = 8;
pub const VIRQ_PCPU_STATE: u32 = 9;
pub const VIRQ_MEM_EVENT: u32 = 10;
pub const VIRQ_ARGO: u32 = 11;
pub const VIRQ_ENOMEM: u32 = 12;
pub const VIRQ_XENPMU: u32 = 13;
pub const VIRQ_ARCH_0: u32 = 16;
pub const VIRQ_ARCH_1: u32 = 17;
pub const VIRQ_ARCH_2: u32 = 18;
pub const VIRQ_ARCH_3: u32 = 19;
pub const VIRQ_ARCH_4: u32 = 20;
pub const VIRQ_ARCH_5: u32 = 21;
pub const VIRQ_ARCH_6: u32 = 22;
pub const VIRQ_ARCH_7: u32 = 23;
pub const NR_VIRQS: u32 = 24;
pub const MMU_NORMAL_PT_UPDATE: u32 = 0;
pub const MMU_MACHPHYS_UPDATE: u32 = 1;
pub const MMU_PT_UPDATE_PRESERVE_AD: u32 = 2;
pub const MMU_PT_UPDATE_NO_TRANSLATE: u32 = 3;
pub const MMUEXT_PIN_L1_TABLE: u32 = 0;
pub const MMUEXT_PIN_L2_TABLE: u32 = 1;
pub const MMUEXT_PIN_L3_TABLE: u32 = 2;
pub const MMUEXT_PIN_L4_TABLE: u32 = 3;
pub const MMUEXT_UNPIN_TABLE: u32 = 4;
pub const MMUEXT_NEW_BASEPTR: u32 = 5;
pub const MMUEXT_TLB_FLUSH_LOCAL: u32 = 6;
pub const MMUEXT_INVLPG_LOCAL: u32 = 7;
pub const MMUEXT_TLB_FLUSH_MULTI: u32 = 8;
pub const MMUEXT_INVLPG_MULTI: u32 = 9;
pub const MMUEXT_TLB_FLUSH_ALL: u32 = 10;
pub const MMUEXT_INVLPG_ALL: u32 = 11;
pub const MMUEXT_FLUSH_CACHE: u32 = 12;
pub const MMUEXT_SET_LDT: u32 = 13;
pub const MMUEXT_NEW_USER_BASEPTR: u32 = 15;
pub const MMUEXT_CLEAR_PAGE: u32 = 16;
pub const MMUEXT_COPY_PAGE: u32 = 17;
pub const MMUEXT_FLUSH_CACHE_GLOBAL: u32 = 18;
pub const MMUEXT_MARK_SUPER: u32 = 19;
pub const MMUEXT_UNMARK_SUPER: u32 = 20;
pub const UVMF_NONE: u32 = 0;
pub const UVMF_TLB_FLUSH: u32 = 1;
pub const UVMF_INVLPG: u32 = 2;
pub const UVMF_FLUSHTYPE_MASK: u32 = 3;
pub const UVMF_MULTI: u32 = 0;
pub const UVMF_LOCAL: u32 = 0;
pub const UVMF_ALL: u32 = 4;
pub const CONSOLEIO_write: u32 = 0;
pub const CONSOLEIO_read: u32 = 1;
pub const VMASST_CMD_enable: u32 = 0;
pub const VMASST_CMD_disable: u32 = 1;
pub const VMASST_TYPE_4gb_segments: u32 = 0;
pub const VMASST_TYPE_4gb_segments_notify: u32 = 1;
pub const VMASST_TYPE_writable_pagetables: u32 = 2;
pub const VMASST_TYPE_pae_extended_cr3: u32 = 3;
pub const VMASST_TYPE_architectural_iopl: u32 = 4;
pub const VMASST_TYPE_runstate_update_flag: u32 = 5;
pub const VMASST_TYPE_m2p_strict: u32 = 32;
pub const DOMID_FIRST_RESERVED: u32 = 32752;
pub const DOMID_SELF: u32 = 32752;
pub const DOMID_IO: u32 = 32753;
pub const DOMID_XEN: u32 = 32754;
pub const DOMID_COW: u32 = 32755;
pub const DOMID_INVALID: u32 = 32756;
pub const DOMID_IDLE: u32 = 32767;
pub const DOMID_MASK: u32 = 32767;
pub const XEN_PVCLOCK_TSC_STABLE_BIT: u32 = 1;
pub const XEN_PVCLOCK_GUEST_STOPPED: u32 = 2;
pub const MAX_GUEST_CMDLINE: u32 = 1024;
pub const SIF_PRIVILEGED: u32 = 1;
pub const SIF_INITDOMAIN: u32 = 2;
pub const SIF_MULTIBOOT_MOD: u32 = 4;
pub const SIF_MOD_START_PFN: u32 = 8;
pub const SIF_VIRT_P2M_4TOOLS: u32 = 16;
pub const SIF_PM_MASK: u32 = 65280;
pub const XENFEAT_writable_page_tables: u32 = 0;
pub const XENFEAT_writable_descriptor_tables: u32 = 1;
pub const XENFEAT_auto_translated_physmap: u32 = 2;
pub const XENFEAT_supervisor_mode_kernel: u32 = 3;
pub const XENFEAT_pae_pgdir_above_4gb: u32 = 4;
pub const XENFEAT_mmu_pt_update_preserve_ad: u32 = 5;
pub const XENFEAT_highmem_assist: u32 = 6;
pub const XENFEAT_gnttab_map_avail_bits: u32 = 7;
pub const XENFEAT_hvm_callback_vector: u32 = 8;
pub const XENFEAT_hvm_safe_pvclock: u32 = 9;
pub const XENFEAT_hvm_pirqs: u32 = 10;
pub const XENFEAT_dom0: u32 = 11;
pub const XENFEAT_memory_op_vnode_supported: u32 = 13;
pub const XENFEAT_ARM_SMCCC_supported: u32 = 14;
pub const XENFEAT_linux_rsdp_unrestricted: u32 = 15;
pub const XENFEAT_not_direct_mapped: u32 = 16;
pub const XENFEAT_direct_mapped: u32 = 17;
pub const XENFEAT_NR_SUBMAPS: u32 = 1;
pub const XENVER_version: u32 = 0;
pub const XENVER_extraversion: u32 = 1;
pub const XENVER_compile_info: u32 = 2;
pub const XENVER_capabilities: u32 = 3;
pub const XENVER_changeset: u32 = 4;
pub const XENVER_platform_parameters: u32 = 5;
pub const XENVER_get_features: u32 = 6;
pub const XENVER_pagesize: u32 = 7;
pub const XENVER_guest_handle: u32 = 8;
pub const XENVER_commandline: u32 = 9;
pub const XENVER_build_id: u32 = 10;
pub const XEN_ELFNOTE_INFO: u32 = 0;
pub const XEN_ELFNOTE_ENTRY: u32 = 1;
pub const XEN_ELFNOTE_HYPERCALL_PAGE: u32 = 2;
pub const XEN_ELFNOTE_VIRT_BASE: u32 = 3;
pub const XEN_ELFNOTE_PADDR_OFFSET: u32 = 4;
pub const XEN_ELFNOTE_XEN_VERSION: u32 = 5;
pub const XEN_ELFNOTE_GUEST_OS: u32 = 6;
pub const XEN_ELFNOTE_GUEST_VERSION: u32 = 7;
pub const XEN_ELFNOTE_LOADER: u32 = 8;
pub const XEN_ELFNOTE_PAE_MODE: u32 = 9;
pub const XEN_ELFNOTE_FEATURES: u32 = 10;
pub const XEN_ELFNOTE_BSD_SYMTAB: u32 = 11;
pub const XEN_ELFNOTE_HV_START_LOW: u32 = 12;
pub const XEN_ELFNOTE_L1_MFN_VALID: u32 = 13;
pub const XEN_ELFNOTE_SUSPEND_CANCEL: u32 = 14;
pub const XEN_ELFNOTE_INIT_P2M: u32 = 15;
pub const XEN_ELFNOTE_MOD_START_PFN: u32 = 16;
pub const XEN_ELFNOTE_SUPPORTED_FEATURES: u32 = 17;
pub const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;
pub const XEN_ELFNOTE_MAX: u32 = 18;
pub const XEN_ELFNOTE_CRASH_INFO: u32 = 16777217;
pub const XEN_ELFNOTE_CRASH_REGS: u32 = 16777218;
pub const XEN_ELFNOTE_DUMPCORE_NONE: u32 = 33554432;
pub const XEN_ELFNOTE_DUMPCORE_HEADER: u32 = 33554433;
pub const XEN_ELFNOTE_DUMPCORE_XEN_VERSION: u32 = 33554434;
pub const XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION: u32 = 33554435;
pub const EVTCHNOP_bind_interdomain: u32 = 0;
pub const EVTCHNOP_bind_virq: u32 = 1;
pub const EVTCHNOP_bind_pirq: u32 = 2;
pub const EVTCHNOP_close: u32 = 3;
pub const EVTCHNOP_send: u32 = 4;
pub const EVTCHNOP_status: u32 = 5;
pub const EVTCHNOP_alloc_unbound: u32 = 6;
pub const EVTCHNOP_bind_ipi: u32 = 7;
pub const EVTCHNOP_bind_vcpu: u32 = 8;
pub const EVTCHNOP_unmask: u32 = 9;
pub const EVTCHNOP_reset: u32 = 10;
pub const EVTCHNOP_init_control: u32 = 11;
pub const EVTCHNOP_expand_array: u32 = 12;
pub const EVTCHNOP_set_priority: u32 = 13;
pub const EVTCHNSTAT_closed: u32 = 0;
pub const EVTCHNSTAT_unbound: u32 = 1;
pub const EVTCHNSTAT_interdomain: u32 = 2;
pub const EVTCHNSTAT_pirq: u32 = 3;
pub const EVTCHNSTAT_virq: u32 = 4;
pub const EVTCHNSTAT_ipi: u32 = 5;
pub const EVTCHN_2L_NR_CHANNELS: u32 = 1024;
pub const EVTCHN_FIFO_PRIORITY_MAX: u32 = 0;
pub const EVTCHN_FIFO_PRIORITY_DEFAULT: u32 = 7;
pub const EVTCHN_FIFO_PRIORITY_MIN: u32 = 15;
pub const EVTCHN_FIFO_MAX_QUEUES: u32 = 16;
pub const EVTCHN_FIFO_PENDING: u32 = 31;
pub const EVTCHN_FIFO_MASKED: u32 = 30;
pub const EVTCHN_FIFO_LINKED: u32 = 29;
pub const EVTCHN_FIFO_BUSY: u32 = 28;
pub const EVTCHN_FIFO_LINK_BITS: u32 = 17;
pub const EVTCHN_FIFO_LINK_MASK: u32 = 131071;
pub const EVTCHN_FIFO_NR_CHANNELS: u32 = 131072;
pub const SCHEDOP_yield: u32 = 0;
pub const SCHEDOP_block: u32 = 1;
pub const SCHEDOP_shutdown: u32 = 2;
pub const SCHEDOP_poll: u32 = 3;
pub const SCHEDOP_remote_shutdown: u32 = 4;
pub const SCHEDOP_shutdown_code: u32 = 5;
pub const SCHEDOP_watchdog: u32 = 6;
pub const SCHEDOP_pin_override: u32 = 7;
pub const SHUTDOWN_poweroff: u32 = 0;
pub const SHUTDOWN_reboot: u32 = 1;
pub const SHUTDOWN_suspend: u32 = 2;
pub const SHUTDOWN_crash: u32 = 3;
pub const SHUTDOWN_watchdog: u32 = 4;
pub const SHUTDOWN_soft_reset: u32 = 5;
pub const SHUTDOWN_MAX: u32 = 5;
pub const VCPUOP_initialise: u32 = 0;
pub const VCPUOP_up: u32 = 1;
pub const VCPUOP_down: u32 = 2;
pub const VCPUOP_is_up: u32 = 3;
pub const VCPUOP_get_runstate_info: u32 = 4;
pub const XEN_RUNSTATE_UPDATE: i64 = -9223372036854775808;
pub const RUNSTATE_running: u32 = 0;
pub const RUNSTATE_runnable: u32 = 1;
pub const RUNSTATE_blocked: u32 = 2;
pub const RUNSTATE_offline: u32 = 3;
pub const VCPUOP_register_runstate_memory_area: u32 = 5;
pub const VCPUOP_set_periodic_timer: u32 = 6;
pub const VCPUOP_stop_periodic_timer: u32 = 7;
pub const VCPUOP_set_singleshot_timer: u32 = 8;
pub const VCPUOP_stop_singleshot_timer: u32 = 9;
pub const VCPU_SSHOTTMR_future: u32 = 1;
pub const VCPUOP_register_vcpu_info: u32 = 10;
pub const VCPUOP_send_nmi: u32 = 11;
pub const VCPUOP_get_physid: u32 = 12;
pub const VCPUOP_register_vcpu_time_memory_area: u32 = 13;
pub const PHYSDEVOP_eoi: u32 = 12;
pub const PHYSDEVOP_set_iopl: u32 = 6;
pub const XENMEM_increase_reservation: u32 = 0;
pub const XENMEM_decrease_reservation: u32 = 1;
pub const XENMEM_populate_physmap: u32 = 6;
pub const XENMEM_maximum_ram_page: u32 = 2;
pub const XENMEM_current_reservation: u32 = 3;
pub const XENMEM_maximum_reservation: u32 = 4;
pub const XENMEM_maximum_gpfn: u32 = 14;
pub const XENMEM_machphys_mapping: u32 = 12;
pub const XENMAPSPACE_shared_info: u32 = 0;
pub const XENMAPSPACE_grant_table: u32 = 1;
pub const XENMAPSPACE_gmfn: u32 = 2;
pub const XENMAPSPACE_gmfn_range: u32 = 3;
pub const XENMAPSPACE_gmfn_foreign: u32 = 4;
pub const XENMAPSPACE_dev_mmio: u32 = 5;
pub const XENMEM_add_to_physmap: u32 = 7;
pub const XENMAPIDX_grant_table_status: u32 = 2147483648;
pub const XENMEM_remove_from_physmap: u32 = 15;
pub const XENMEM_memory_map: u32 = 9;
pub const GNTTAB_NR_RESERVED_ENTRIES: u32 = 8;
pub const GNTTAB_RESERVED_CONSOLE: u32 = 0;
pub const GNTTAB_RESERVED_XENSTORE: u32 = 1;
pub const GTF_invalid: u32 = 0;
pub const GTF_permit_access: u32 = 1;
pub const GTF_accept_transfer: u32 = 2;
pub const GTF_transitive: u32 = 3;
pub const GTF_type_mask: u32 = 3;
pub const GTF_readonly: u32 = 4;
pub const GTF_reading: u32 = 8;
pub const GTF_writing: u32 = 16;
pub const GTF_PWT: u32 = 32;
pub const GTF_PCD: u32 = 64;
pub const GTF_PAT: u32 = 128;
pub const GTF_sub_page: u32 = 256;
pub const GTF_transfer_committed: u32 = 4;
pub const GTF_transfer_completed: u32 = 8;
pub const GNTTABOP_map_grant_ref: u32 = 0;
pub const GNTTABOP_unmap_grant_ref: u32 = 1;
pub const GNTTABOP_setup_table: u32 = 2;
pub const GNTTABOP_query_size: u32 = 6;
pub const GNTTABOP_set_version: u32 = 8;
pub const GNTTABOP_get_version: u32 = 10;
pub const GNTTAB_CACHE_CLEAN: u32 = 1;
pub const GNTTAB_CACHE_INVAL: u32 = 2;
pub const GNTTAB_CACHE_SOURCE_GREF: u32 = 2147483648;
pub const GNTMAP_device_map: u32 = 1;
pub const GNTMAP_host_map: u32 = 2;
pub const GNTMAP_readonly: u32 = 4;
pub const GNTMAP_application_map: u32 = 8;
pub const GNTMAP_contains_pte: u32 = 16;
pub const GNTMAP_guest_avail_mask: u32 = 4294901760;
pub const GNTST_okay: u32 = 0;
pub const GNTST_general_error: i32 = -1;
pub const GNTST_bad_domain: i32 = -2;
pub const GNTST_bad_gntref: i32 = -3;
pub const GNTST_bad_handle: i32 = -4;
pub const GNTST_bad_virt_addr: i32 = -5;
pub const GNTST_bad_dev_addr: i32 = -6;
pub const GNTST_no_device_space: i32 = -7;
pub const GNTST_permission_denied: i32 = -8;
pub const GNTST_bad_page: i32 = -9;
pub const GNTST_bad_copy_arg: i32 = -10;
pub const GNTST_address_too_big: i32 = -11;
pub const GNTST_eagain: i32 = -12;
pub const GNTST_no_space: i32 = -13;
pub const CALLBACKTYPE_event: u32 = 0;
pub const CALLBACKTYPE_failsafe: u32 = 1;
pub const CALLBACKTYPE_syscall: u32 = 2;
pub const CALLBACKTYPE_sysenter_deprecated: u32 = 3;
pub const CALLBACKTYPE_nmi: u32 = 4;
pub const CALLBACKTYPE_sysenter: u32 = 5;
pub const CALLBACKTYPE_syscall32: u32 = 7;
pub const CALLBACKF_mask_events: u32 = 1;
pub const CALLBACKOP_register: u32 = 0;
pub const CALLBACKOP_unregister: u32 = 1;
pub const XENNMI_register_callback: u32 = 0;
pub const XENNMI_unregister_callback: u32 = 1;
pub const HVMOP_set_param: u32 = 0;
pub const HVMOP_get_param: u32 = 1;
pub const HVMOP_pagetable_dying: u32 = 9;
pub const HVMOP_set_evtchn_upcall_vector: u32 = 23;
pub const HVM_PARAM_CALLBACK_IRQ: u32 = 0;
pub const HVM_PARAM_CALLBACK_IRQ_TYPE_MASK: i64 = -72057594037927936;
pub const HVM_PARAM_CALLBACK_TYPE_GSI: u32 = 0;
pub const HVM_PARAM_CALLBACK_TYPE_PCI_INTX: u32 = 1;
pub const HVM_PARAM_CALLBACK_TYPE_VECTOR: u32 = 2;
pub const HVM_PARAM_STORE_PFN: u32 = 1;
pub const HVM_PARAM_STORE_EVTCHN: u32 = 2;
pub const HVM_PARAM_IOREQ_PFN: u32 = 5;
pub const HVM_PARAM_BUFIOREQ_PFN: u32 = 6;
pub const HVM_PARAM_VIRIDIAN: u32 = 9;
pub const HVM_PARAM_TIMER_MODE: u32 = 10;
pub const HVM_PARAM_HPET_ENABLED: u32 = 11;
pub const HVM_PARAM_IDENT_PT: u32 = 12;
pub const HVM_PARAM_ACPI_S_STATE: u32 = 14;
pub const HVM_PARAM_VM86_TSS: u32 = 15;
pub const HVM_PARAM_VPT_ALIGN: u32 = 16;
pub const HVM_PARAM_CONSOLE_PFN: u32 = 17;
pub const HVM_PARAM_CONSOLE_EVTCHN: u32 = 18;
pub const HVM_PARAM_ACPI_IOPORTS_LOCATION: u32 = 19;
pub const HVM_PARAM_PAGING_RING_PFN: u32 = 27;
pub const HVM_PARAM_MONITOR_RING_PFN: u32 = 28;
pub const HVM_PARAM_SHARING_RING_PFN: u32 = 29;
pub const HVM_PARAM_TRIPLE_FAULT_REASON: u32 = 31;
pub const HVM_PARAM_IOREQ_SERVER_PFN: u32 = 32;
pub const HVM_PARAM_NR_IOREQ_SERVER_PAGES: u32 = 33;
pub const HVM_PARAM_VM_GENERATION_ID_ADDR: u32 = 34;
pub const HVM_PARAM_ALTP2M: u32 = 35;
pub const HVM_PARAM_X87_FIP_WIDTH: u32 = 36;
pub const HVM_PARAM_VM86_TSS_SIZED: u32 = 37;
pub const HVM_PARAM_MCA_CAP: u32 = 38;
pub const HVM_NR_PARAMS: u32 = 39;
pub const VCPU_HVM_MODE_32B: u32 = 0;
pub const VCPU_HVM_MODE_64B: u32 = 1;
pub const XEN_CPUID_FIRST_LEAF: u32 = 1073741824;
pub const XEN_CPUID_SIGNATURE_EBX: u32 = 1450075480;
pub const XEN_CPUID_SIGNATURE_ECX: u32 = 1700285773;
pub const XEN_CPUID_SIGNATURE_EDX: u32 = 1296914030;
pub const XEN_CPUID_FEAT1_MMU_PT_UPDATE_PRESERVE_AD: u32 = 1;
pub const XEN_HVM_CPUID_APIC_ACCESS_VIRT: u32 = 1;
pub const XEN_HVM_CPUID_X2APIC_VIRT: u32 = 2;
pub const XEN_HVM_CPUID_IOMMU_MAPPINGS: u32 = 4;
pub const XEN_HVM_CPUID_VCPU_ID_PRESENT: u32 = 8;
pub const XEN_HVM_CPUID_DOMID_PRESENT: u32 = 16;
pub const XEN_HVM_CPUID_EXT_DEST_ID: u32 = 32;
pub const XEN_HVM_CPUID_UPCALL_VECTOR: u32 = 64;
pub const XEN_CPUID_MACHINE_ADDRESS_WIDTH_MASK: u32 = 255;
pub const XEN_CPUID_MAX_NUM_LEAVES: u32 = 5;
pub const XEN_HVM_START_MAGIC_VALUE: u32 = 862897528;
pub const XEN_HVM_MEMMAP_TYPE_RAM: u32 = 1;
pub const XEN_HVM_MEMMAP_TYPE_RESERVED: u32 = 2;
pub const XEN_HVM_MEMMAP_TYPE_ACPI: u32 = 3;
pub const XEN_HVM_MEMMAP_TYPE_NVS: u32 = 4;
pub const XEN_HVM_MEMMAP_TYPE_UNUSABLE: u32 = 5;
pub const XEN_HVM_MEMMAP_TYPE_DISABLED: u32 = 6;
pub const XEN_HVM_MEMMAP_TYPE_PMEM: u32 = 7;
pub const XS_DEBUG: u32 = 0;
pub const XS_WRITE_NONE: &[u8; 5] = b"NONE\0";
pub const XS_WRITE_CREATE: &[u8; 7] = b"CREATE\0";
pub const XS_WRITE_CREATE_EXCL: &[u8; 12] = b"CREATE|EXCL\0";
pub const XENSTORE_RING_SIZE: u32 = 1024;
pub const XENSTORE_PAYLOAD_MAX: u32 = 4096;
pub const XENSTORE_ABS_PATH_MAX: u32 = 3072;
pub const XENSTORE_REL_PATH_MAX: u32 = 2048;
pub const XENSTORE_SERVER_FEATURE_RECONNECTION: u32 = 1;
pub const XENSTORE_SERVER_FEATURE_ERROR: u32 = 2;
pub const XENSTORE_CONNECTED: u32 = 0;
pub const XENSTORE_RECONNECT: u32 = 1;
pub const XENSTORE_ERROR_NONE: u32 = 0;
pub const XENSTORE_ERROR_COMM: u32 = 1;
pub const XENSTORE_ERROR_RINGIDX: u32 = 2;
pub const XENSTORE_ERROR_PROTO: u32 = 3;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct cpu_user_regs {
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
    pub esi: u32,
    pub edi: u32,
    pub ebp: u32,
    pub eax: u32,
    pub error_code: u16,
    pub entry_vector: u16,
    pub eip: u32,
    pub cs: u16,
    pub saved_upcall_mask: u8,
    pub _pad0: u8,
    pub eflags: u32,
    pub esp: u32,
    pub ss: u16,
    pub _pad1: u16,
    pub es: u16,
    pub _pad2: u16,
    pub ds: u16,
    pub _pad3: u16,
    pub fs: u16,
    pub _pad4: u16,
    pub gs: u16,
    pub _pad5: u16,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of cpu_user_regs"][::core::mem::size_of::<cpu_user_regs>() - 68usize];
    ["Alignment of cpu_user_regs"][::core::mem::align_of::<cpu_user_regs>() - 4usize];
    [
        "Offset of field: cpu_user_regs::ebx",
    ][::core::mem::offset_of!(cpu_user_regs, ebx) - 0usize];
    [
        "Offset of field: cpu_user_regs::ecx",
    ][::core::mem::offset_of!(cpu_user_regs, ecx) - 4usize];
    [
        "Offset of field: cpu_user_regs::edx",
    ][::core::mem::offset_of!(cpu_user_regs, edx) - 8usize];
    [
        "Offset of field: cpu_user_regs::esi",
    ][::core::mem::offset_of!(cpu_user_regs, esi) - 12usize];
    [
        "Offset of field: cpu_user_regs::edi",
    ][::core::mem::offset_of!(cpu_user_regs, edi) - 16usize];
    [
        "Offset of field: cpu_user_regs::ebp",
    ][::core::mem::offset_of!(cpu_user_regs, ebp) - 20usize];
    [
        "Offset of field: cpu_user_regs::eax",
    ][::core::mem::offset_of!(cpu_user_regs, eax) - 24usize];
    [
        "Offset of field: cpu_user_regs::error_code",
    ][::core::mem::offset_of!(cpu_user_regs, error_code) - 28usize];
    [
        "Offset of field: cpu_user_regs::entry_vector",
    ][::core::mem::offset_of!(cpu_user_regs, entry_vector) - 30usize];
    [
        "Offset of field: cpu_user_regs::eip",
    ][::core::mem::offset_of!(cpu_user_regs, eip) - 32usize];
    [
        "Offset of field: cpu_user_regs::cs",
    ][::core::mem::offset_of!(cpu_user_regs, cs) - 36usize];
    [
        "Offset of field: cpu_user_regs::saved_upcall_mask",
    ][::core::mem::offset_of!(cpu_user_regs, saved_upcall_mask) - 38usize];
    [
        "Offset of field: cpu_user_regs::_pad0",
    ][::core::mem::offset_of!(cpu_user_regs, _pad0) - 39usize];
    [
        "Offset of field: cpu_user_regs::eflags",
    ][::core::mem::offset_of!(cpu_user_regs, eflags) - 40usize];
    [
        "Offset of field: cpu_user_regs::esp",
    ][::core::mem::offset_of!(cpu_user_regs, esp) - 44usize];
    [
        "Offset of field: cpu_user_regs::ss",
    ][::core::mem::offset_of!(cpu_user_regs, ss) - 48usize];
    [
        "Offset of field: cpu_user_regs::_pad1",
    ][::core::mem::offset_of!(cpu_user_regs, _pad1) - 50usize];
    [
        "Offset of field: cpu_user_regs::es",
    ][::core::mem::offset_of!(cpu_user_regs, es) - 52usize];
    [
        "Offset of field: cpu_user_regs::_pad2",
    ][::core::mem::offset_of!(cpu_user_regs, _pad2) - 54usize];
    [
        "Offset of field: cpu_user_regs::ds",
    ][::core::mem::offset_of!(cpu_user_regs, ds) - 56usize];
    [
        "Offset of field: cpu_user_regs::_pad3",
    ][::core::mem::offset_of!(cpu_user_regs, _pad3) - 58usize];
    [
        "Offset of field: cpu_user_regs::fs",
    ][::core::mem::offset_of!(cpu_user_regs, fs) - 60usize];
    [
        "Offset of field: cpu_user_regs::_pad4",
    ][::core::mem::offset_of!(cpu_user_regs, _pad4) - 62usize];
    [
        "Offset of field: cpu_user_regs::gs",
    ][::core::mem::offset_of!(cpu_user_regs, gs) - 64usize];
    [
        "Offset of field: cpu_user_regs::_pad5",
    ][::core::mem::offset_of!(cpu_user_regs, _pad5) - 66usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct arch_vcpu_info {
    pub cr2: ::core::ffi::c_ulong,
    pub pad: [::core::ffi::c_ulong; 5usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of arch_vcpu_info"][::core::mem::size_of::<arch_vcpu_info>() - 24usize];
    ["Alignment of arch_vcpu_info"][::core::mem::align_of::<arch_vcpu_info>() - 4usize];
    [
        "Offset of field: arch_vcpu_info::cr2",
    ][::core::mem::offset_of!(arch_vcpu_info, cr2) - 0usize];
    [
        "Offset of field: arch_vcpu_info::pad",
    ][::core::mem::offset_of!(arch_vcpu_info, pad) - 4usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xen_callback {
    pub cs: ::core::ffi::c_ulong,
    pub eip: ::core::ffi::c_ulong,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xen_callback"][::core::mem::size_of::<xen_callback>() - 8usize];
    ["Alignment of xen_callback"][::core::mem::align_of::<xen_callback>() - 4usize];
    [
        "Offset of field: xen_callback::cs",
    ][::core::mem::offset_of!(xen_callback, cs) - 0usize];
    [
        "Offset of field: xen_callback::eip",
    ][::core::mem::offset_of!(xen_callback, eip) - 4usize];
};
pub type xen_callback_t = xen_callback;
pub type xen_pfn_t = ::core::ffi::c_ulong;
pub type xen_ulong_t = ::core::ffi::c_ulong;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct trap_info {
    pub vector: u8,
    pub flags: u8,
    pub cs: u16,
    pub address: ::core::ffi::c_ulong,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of trap_info"][::core::mem::size_of::<trap_info>() - 8usize];
    ["Alignment of trap_info"][::core::mem::align_of::<trap_info>() - 4usize];
    [
        "Offset of field: trap_info::vector",
    ][::core::mem::offset_of!(trap_info, vector) - 0usize];
    [
        "Offset of field: trap_info::flags",
    ][::core::mem::offset_of!(trap_info, flags) - 1usize];
    ["Offset of field: trap_info::cs"][::core::mem::offset_of!(trap_info, cs) - 2usize];
    [
        "Offset of field: trap_info::address",
    ][::core::mem::offset_of!(trap_info, address) - 4usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vcpu_guest_context {
    pub fpu_ctxt: vcpu_guest_context__bindgen_ty_1,
    pub flags: ::core::ffi::c_ulong,
    pub user_regs: cpu_user_regs,
    pub trap_ctxt: [trap_info; 256usize],
    pub ldt_base: ::core::ffi::c_ulong,
    pub ldt_ents: ::core::ffi::c_ulong,
    pub gdt_frames: [::core::ffi::c_ulong; 16usize],
    pub gdt_ents: ::core::ffi::c_ulong,
    pub kernel_ss: ::core::ffi::c_ulong,
    pub kernel_sp: ::core::ffi::c_ulong,
    pub ctrlreg: [::core::ffi::c_ulong; 8usize],
    pub debugreg: [::core::ffi::c_ulong; 8usize],
    pub event_callback_cs: ::core::ffi::c_ulong,
    pub event_callback_eip: ::core::ffi::c_ulong,
    pub failsafe_callback_cs: ::core::ffi::c_ulong,
    pub failsafe_callback_eip: ::core::ffi::c_ulong,
    pub vm_assist: ::core::ffi::c_ulong,
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct vcpu_guest_context__bindgen_ty_1 {
    pub x: [::core::ffi::c_char; 512usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of vcpu_guest_context__bindgen_ty_1",
    ][::core::mem::size_of::<vcpu_guest_context__bindgen_ty_1>() - 512usize];
    [
        "Alignment of vcpu_guest_context__bindgen_ty_1",
    ][::core::mem::align_of::<vcpu_guest_context__bindgen_ty_1>() - 1usize];
    [
        "Offset of field: vcpu_guest_context__bindgen_ty_1::x",
    ][::core::mem::offset_of!(vcpu_guest_context__bindgen_ty_1, x) - 0usize];
};
impl Default for vcpu_guest_context__bindgen_ty_1 {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of vcpu_guest_context",
    ][::core::mem::size_of::<vcpu_guest_context>() - 2800usize];
    [
        "Alignment of vcpu_guest_context",
    ][::core::mem::align_of::<vcpu_guest_context>() - 4usize];
    [
        "Offset of field: vcpu_guest_context::fpu_ctxt",
    ][::core::mem::offset_of!(vcpu_guest_context, fpu_ctxt) - 0usize];
    [
        "Offset of field: vcpu_guest_context::flags",
    ][::core::mem::offset_of!(vcpu_guest_context, flags) - 512usize];
    [
        "Offset of field: vcpu_guest_context::user_regs",
    ][::core::mem::offset_of!(vcpu_guest_context, user_regs) - 516usize];
    [
        "Offset of field: vcpu_guest_context::trap_ctxt",
    ][::core::mem::offset_of!(vcpu_guest_context, trap_ctxt) - 584usize];
    [
        "Offset of field: vcpu_guest_context::ldt_base",
    ][::core::mem::offset_of!(vcpu_guest_context, ldt_base) - 2632usize];
    [
        "Offset of field: vcpu_guest_context::ldt_ents",
    ][::core::mem::offset_of!(vcpu_guest_context, ldt_ents) - 2636usize];
    [
        "Offset of field: vcpu_guest_context::gdt_frames",
    ][::core::mem::offset_of!(vcpu_guest_context, gdt_frames) - 2640usize];
    [
        "Offset of field: vcpu_guest_context::gdt_ents",
    ][::core::mem::offset_of!(vcpu_guest_context, gdt_ents) - 2704usize];
    [
        "Offset of field: vcpu_guest_context::kernel_ss",
    ][::core::mem::offset_of!(vcpu_guest_context, kernel_ss) - 2708usize];
    [
        "Offset of field: vcpu_guest_context::kernel_sp",
    ][::core::mem::offset_of!(vcpu_guest_context, kernel_sp) - 2712usize];
    [
        "Offset of field: vcpu_guest_context::ctrlreg",
    ][::core::mem::offset_of!(vcpu_guest_context, ctrlreg) - 2716usize];
    [
        "Offset of field: vcpu_guest_context::debugreg",
    ][::core::mem::offset_of!(vcpu_guest_context, debugreg) - 2748usize];
    [
        "Offset of field: vcpu_guest_context::event_callback_cs",
    ][::core::mem::offset_of!(vcpu_guest_context, event_callback_cs) - 2780usize];
    [
        "Offset of field: vcpu_guest_context::event_callback_eip",
    ][::core::mem::offset_of!(vcpu_guest_context, event_callback_eip) - 2784usize];
    [
        "Offset of field: vcpu_guest_context::failsafe_callback_cs",
    ][::core::mem::offset_of!(vcpu_guest_context, failsafe_callback_cs) - 2788usize];
    [
        "Offset of field: vcpu_guest_context::failsafe_callback_eip",
    ][::core::mem::offset_of!(vcpu_guest_context, failsafe_callback_eip) - 2792usize];
    [
        "Offset of field: vcpu_guest_context::vm_assist",
    ][::core::mem::offset_of!(vcpu_guest_context, vm_assist) - 2796usize];
};
impl Default for vcpu_guest_context {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct arch_shared_info {
    pub max_pfn: ::core::ffi::c_ulong,
    pub pfn_to_mfn_frame_list_list: xen_pfn_t,
    pub nmi_reason: ::core::ffi::c_ulong,
    pub p2m_cr3: ::core::ffi::c_ulong,
    pub p2m_vaddr: ::core::ffi::c_ulong,
    pub p2m_generation: ::core::ffi::c_ulong,
    pub wc_sec_hi: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of arch_shared_info"][::core::mem::size_of::<arch_shared_info>() - 28usize];
    [
        "Alignment of arch_shared_info",
    ][::core::mem::align_of::<arch_shared_info>() - 4usize];
    [
        "Offset of field: arch_shared_info::max_pfn",
    ][::core::mem::offset_of!(arch_shared_info, max_pfn) - 0usize];
    [
        "Offset of field: arch_shared_info::pfn_to_mfn_frame_list_list",
    ][::core::mem::offset_of!(arch_shared_info, pfn_to_mfn_frame_list_list) - 4usize];
    [
        "Offset of field: arch_shared_info::nmi_reason",
    ][::core::mem::offset_of!(arch_shared_info, nmi_reason) - 8usize];
    [
        "Offset of field: arch_shared_info::p2m_cr3",
    ][::core::mem::offset_of!(arch_shared_info, p2m_cr3) - 12usize];
    [
        "Offset of field: arch_shared_info::p2m_vaddr",
    ][::core::mem::offset_of!(arch_shared_info, p2m_vaddr) - 16usize];
    [
        "Offset of field: arch_shared_info::p2m_generation",
    ][::core::mem::offset_of!(arch_shared_info, p2m_generation) - 20usize];
    [
        "Offset of field: arch_shared_info::wc_sec_hi",
    ][::core::mem::offset_of!(arch_shared_info, wc_sec_hi) - 24usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct __guest_handle_void {
    pub p: *mut ::core::ffi::c_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of __guest_handle_void",
    ][::core::mem::size_of::<__guest_handle_void>() - 4usize];
    [
        "Alignment of __guest_handle_void",
    ][::core::mem::align_of::<__guest_handle_void>() - 4usize];
    [
        "Offset of field: __guest_handle_void::p",
    ][::core::mem::offset_of!(__guest_handle_void, p) - 0usize];
};
impl Default for __guest_handle_void {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct __guest_handle_const_void {
    pub p: *const ::core::ffi::c_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of __guest_handle_const_void",
    ][::core::mem::size_of::<__guest_handle_const_void>() - 4usize];
    [
        "Alignment of __guest_handle_const_void",
    ][::core::mem::align_of::<__guest_handle_const_void>() - 4usize];
    [
        "Offset of field: __guest_handle_const_void::p",
    ][::core::mem::offset_of!(__guest_handle_const_void, p) - 0usize];
};
impl Default for __guest_handle_const_void {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct __guest_handle_xen_pfn_t {
    pub p: *mut xen_pfn_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of __guest_handle_xen_pfn_t",
    ][::core::mem::size_of::<__guest_handle_xen_pfn_t>() - 4usize];
    [
        "Alignment of __guest_handle_xen_pfn_t",
    ][::core::mem::align_of::<__guest_handle_xen_pfn_t>() - 4usize];
    [
        "Offset of field: __guest_handle_xen_pfn_t::p",
    ][::core::mem::offset_of!(__guest_handle_xen_pfn_t, p) - 0usize];
};
impl Default for __guest_handle_xen_pfn_t {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct mmuext_op {
    pub cmd: ::core::ffi::c_uint,
    pub arg1: mmuext_op__bindgen_ty_1,
    pub arg2: mmuext_op__bindgen_ty_2,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union mmuext_op__bindgen_ty_1 {
    pub mfn: xen_pfn_t,
    pub linear_addr: ::core::ffi::c_ulong,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of mmuext_op__bindgen_ty_1",
    ][::core::mem::size_of::<mmuext_op__bindgen_ty_1>() - 4usize];
    [
        "Alignment of mmuext_op__bindgen_ty_1",
    ][::core::mem::align_of::<mmuext_op__bindgen_ty_1>() - 4usize];
    [
        "Offset of field: mmuext_op__bindgen_ty_1::mfn",
    ][::core::mem::offset_of!(mmuext_op__bindgen_ty_1, mfn) - 0usize];
    [
        "Offset of field: mmuext_op__bindgen_ty_1::linear_addr",
    ][::core::mem::offset_of!(mmuext_op__bindgen_ty_1, linear_addr) - 0usize];
};
impl Default for mmuext_op__bindgen_ty_1 {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union mmuext_op__bindgen_ty_2 {
    pub nr_ents: ::core::ffi::c_uint,
    pub vcpumask: __guest_handle_const_void,
    pub src_mfn: xen_pfn_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of mmuext_op__bindgen_ty_2",
    ][::core::mem::size_of::<mmuext_op__bindgen_ty_2>() - 4usize];
    [
        "Alignment of mmuext_op__bindgen_ty_2",
    ][::core::mem::align_of::<mmuext_op__bindgen_ty_2>() - 4usize];
    [
        "Offset of field: mmuext_op__bindgen_ty_2::nr_ents",
    ][::core::mem::offset_of!(mmuext_op__bindgen_ty_2, nr_ents) - 0usize];
    [
        "Offset of field: mmuext_op__bindgen_ty_2::vcpumask",
    ][::core::mem::offset_of!(mmuext_op__bindgen_ty_2, vcpumask) - 0usize];
    [
        "Offset of field: mmuext_op__bindgen_ty_2::src_mfn",
    ][::core::mem::offset_of!(mmuext_op__bindgen_ty_2, src_mfn) - 0usize];
};
impl Default for mmuext_op__bindgen_ty_2 {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mmuext_op"][::core::mem::size_of::<mmuext_op>() - 12usize];
    ["Alignment of mmuext_op"][::core::mem::align_of::<mmuext_op>() - 4usize];
    [
        "Offset of field: mmuext_op::cmd",
    ][::core::mem::offset_of!(mmuext_op, cmd) - 0usize];
    [
        "Offset of field: mmuext_op::arg1",
    ][::core::mem::offset_of!(mmuext_op, arg1) - 4usize];
    [
        "Offset of field: mmuext_op::arg2",
    ][::core::mem::offset_of!(mmuext_op, arg2) - 8usize];
};
impl Default for mmuext_op {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
pub type domid_t = u16;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct mmu_update {
    pub ptr: u64,
    pub val: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of mmu_update"][::core::mem::size_of::<mmu_update>() - 16usize];
    ["Alignment of mmu_update"][::core::mem::align_of::<mmu_update>() - 4usize];
    [
        "Offset of field: mmu_update::ptr",
    ][::core::mem::offset_of!(mmu_update, ptr) - 0usize];
    [
        "Offset of field: mmu_update::val",
    ][::core::mem::offset_of!(mmu_update, val) - 8usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct multicall_entry {
    pub op: xen_ulong_t,
    pub result: xen_ulong_t,
    pub args: [xen_ulong_t; 6usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of multicall_entry"][::core::mem::size_of::<multicall_entry>() - 32usize];
    [
        "Alignment of multicall_entry",
    ][::core::mem::align_of::<multicall_entry>() - 4usize];
    [
        "Offset of field: multicall_entry::op",
    ][::core::mem::offset_of!(multicall_entry, op) - 0usize];
    [
        "Offset of field: multicall_entry::result",
    ][::core::mem::offset_of!(multicall_entry, result) - 4usize];
    [
        "Offset of field: multicall_entry::args",
    ][::core::mem::offset_of!(multicall_entry, args) - 8usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct vcpu_time_info {
    pub version: u32,
    pub pad0: u32,
    pub tsc_timestamp: u64,
    pub system_time: u64,
    pub tsc_to_system_mul: u32,
    pub tsc_shift: i8,
    pub flags: u8,
    pub pad1: [u8; 2usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of vcpu_time_info"][::core::mem::size_of::<vcpu_time_info>() - 32usize];
    ["Alignment of vcpu_time_info"][::core::mem::align_of::<vcpu_time_info>() - 4usize];
    [
        "Offset of field: vcpu_time_info::version",
    ][::core::mem::offset_of!(vcpu_time_info, version) - 0usize];
    [
        "Offset of field: vcpu_time_info::pad0",
    ][::core::mem::offset_of!(vcpu_time_info, pad0) - 4usize];
    [
        "Offset of field: vcpu_time_info::tsc_timestamp",
    ][::core::mem::offset_of!(vcpu_time_info, tsc_timestamp) - 8usize];
    [
        "Offset of field: vcpu_time_info::system_time",
    ][::core::mem::offset_of!(vcpu_time_info, system_time) - 16usize];
    [
        "Offset of field: vcpu_time_info::tsc_to_system_mul",
    ][::core::mem::offset_of!(vcpu_time_info, tsc_to_system_mul) - 24usize];
    [
        "Offset of field: vcpu_time_info::tsc_shift",
    ][::core::mem::offset_of!(vcpu_time_info, tsc_shift) - 28usize];
    [
        "Offset of field: vcpu_time_info::flags",
    ][::core::mem::offset_of!(vcpu_time_info, flags) - 29usize];
    [
        "Offset of field: vcpu_time_info::pad1",
    ][::core::mem::offset_of!(vcpu_time_info, pad1) - 30usize];
};
pub type vcpu_time_info_t = vcpu_time_info;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct vcpu_info {
    pub evtchn_upcall_pending: u8,
    pub evtchn_upcall_mask: u8,
    pub evtchn_pending_sel: xen_ulong_t,
    pub arch: arch_vcpu_info,
    pub time: vcpu_time_info_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of vcpu_info"][::core::mem::size_of::<vcpu_info>() - 64usize];
    ["Alignment of vcpu_info"][::core::mem::align_of::<vcpu_info>() - 4usize];
    [
        "Offset of field: vcpu_info::evtchn_upcall_pending",
    ][::core::mem::offset_of!(vcpu_info, evtchn_upcall_pending) - 0usize];
    [
        "Offset of field: vcpu_info::evtchn_upcall_mask",
    ][::core::mem::offset_of!(vcpu_info, evtchn_upcall_mask) - 1usize];
    [
        "Offset of field: vcpu_info::evtchn_pending_sel",
    ][::core::mem::offset_of!(vcpu_info, evtchn_pending_sel) - 4usize];
    [
        "Offset of field: vcpu_info::arch",
    ][::core::mem::offset_of!(vcpu_info, arch) - 8usize];
    [
        "Offset of field: vcpu_info::time",
    ][::core::mem::offset_of!(vcpu_info, time) - 32usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct shared_info {
    pub vcpu_info: [vcpu_info; 32usize],
    pub evtchn_pending: [xen_ulong_t; 32usize],
    pub evtchn_mask: [xen_ulong_t; 32usize],
    pub wc_version: u32,
    pub wc_sec: u32,
    pub wc_nsec: u32,
    pub arch: arch_shared_info,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of shared_info"][::core::mem::size_of::<shared_info>() - 2344usize];
    ["Alignment of shared_info"][::core::mem::align_of::<shared_info>() - 4usize];
    [
        "Offset of field: shared_info::vcpu_info",
    ][::core::mem::offset_of!(shared_info, vcpu_info) - 0usize];
    [
        "Offset of field: shared_info::evtchn_pending",
    ][::core::mem::offset_of!(shared_info, evtchn_pending) - 2048usize];
    [
        "Offset of field: shared_info::evtchn_mask",
    ][::core::mem::offset_of!(shared_info, evtchn_mask) - 2176usize];
    [
        "Offset of field: shared_info::wc_version",
    ][::core::mem::offset_of!(shared_info, wc_version) - 2304usize];
    [
        "Offset of field: shared_info::wc_sec",
    ][::core::mem::offset_of!(shared_info, wc_sec) - 2308usize];
    [
        "Offset of field: shared_info::wc_nsec",
    ][::core::mem::offset_of!(shared_info, wc_nsec) - 2312usize];
    [
        "Offset of field: shared_info::arch",
    ][::core::mem::offset_of!(shared_info, arch) - 2316usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct start_info {
    pub magic: [::core::ffi::c_char; 32usize],
    pub nr_pages: ::core::ffi::c_ulong,
    pub shared_info: ::core::ffi::c_ulong,
    pub flags: u32,
    pub store_mfn: xen_pfn_t,
    pub store_evtchn: u32,
    pub console: start_info__bindgen_ty_1,
    pub pt_base: ::core::ffi::c_ulong,
    pub nr_pt_frames: ::core::ffi::c_ulong,
    pub mfn_list: ::core::ffi::c_ulong,
    pub mod_start: ::core::ffi::c_ulong,
    pub mod_len: ::core::ffi::c_ulong,
    pub cmd_line: [i8; 1024usize],
    pub first_p2m_pfn: ::core::ffi::c_ulong,
    pub nr_p2m_frames: ::core::ffi::c_ulong,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union start_info__bindgen_ty_1 {
    pub domU: start_info__bindgen_ty_1__bindgen_ty_1,
    pub dom0: start_info__bindgen_ty_1__bindgen_ty_2,
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct start_info__bindgen_ty_1__bindgen_ty_1 {
    pub mfn: xen_pfn_t,
    pub evtchn: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of start_info__bindgen_ty_1__bindgen_ty_1",
    ][::core::mem::size_of::<start_info__bindgen_ty_1__bindgen_ty_1>() - 8usize];
    [
        "Alignment of start_info__bindgen_ty_1__bindgen_ty_1",
    ][::core::mem::align_of::<start_info__bindgen_ty_1__bindgen_ty_1>() - 4usize];
    [
        "Offset of field: start_info__bindgen_ty_1__bindgen_ty_1::mfn",
    ][::core::mem::offset_of!(start_info__bindgen_ty_1__bindgen_ty_1, mfn) - 0usize];
    [
        "Offset of field: start_info__bindgen_ty_1__bindgen_ty_1::evtchn",
    ][::core::mem::offset_of!(start_info__bindgen_ty_1__bindgen_ty_1, evtchn) - 4usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct start_info__bindgen_ty_1__bindgen_ty_2 {
    pub info_off: u32,
    pub info_size: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of start_info__bindgen_ty_1__bindgen_ty_2",
    ][::core::mem::size_of::<start_info__bindgen_ty_1__bindgen_ty_2>() - 8usize];
    [
        "Alignment of start_info__bindgen_ty_1__bindgen_ty_2",
    ][::core::mem::align_of::<start_info__bindgen_ty_1__bindgen_ty_2>() - 4usize];
    [
        "Offset of field: start_info__bindgen_ty_1__bindgen_ty_2::info_off",
    ][::core::mem::offset_of!(start_info__bindgen_ty_1__bindgen_ty_2, info_off)
        - 0usize];
    [
        "Offset of field: start_info__bindgen_ty_1__bindgen_ty_2::info_size",
    ][::core::mem::offset_of!(start_info__bindgen_ty_1__bindgen_ty_2, info_size)
        - 4usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of start_info__bindgen_ty_1",
    ][::core::mem::size_of::<start_info__bindgen_ty_1>() - 8usize];
    [
        "Alignment of start_info__bindgen_ty_1",
    ][::core::mem::align_of::<start_info__bindgen_ty_1>() - 4usize];
    [
        "Offset of field: start_info__bindgen_ty_1::domU",
    ][::core::mem::offset_of!(start_info__bindgen_ty_1, domU) - 0usize];
    [
        "Offset of field: start_info__bindgen_ty_1::dom0",
    ][::core::mem::offset_of!(start_info__bindgen_ty_1, dom0) - 0usize];
};
impl Default for start_info__bindgen_ty_1 {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of start_info"][::core::mem::size_of::<start_info>() - 1112usize];
    ["Alignment of start_info"][::core::mem::align_of::<start_info>() - 4usize];
    [
        "Offset of field: start_info::magic",
    ][::core::mem::offset_of!(start_info, magic) - 0usize];
    [
        "Offset of field: start_info::nr_pages",
    ][::core::mem::offset_of!(start_info, nr_pages) - 32usize];
    [
        "Offset of field: start_info::shared_info",
    ][::core::mem::offset_of!(start_info, shared_info) - 36usize];
    [
        "Offset of field: start_info::flags",
    ][::core::mem::offset_of!(start_info, flags) - 40usize];
    [
        "Offset of field: start_info::store_mfn",
    ][::core::mem::offset_of!(start_info, store_mfn) - 44usize];
    [
        "Offset of field: start_info::store_evtchn",
    ][::core::mem::offset_of!(start_info, store_evtchn) - 48usize];
    [
        "Offset of field: start_info::console",
    ][::core::mem::offset_of!(start_info, console) - 52usize];
    [
        "Offset of field: start_info::pt_base",
    ][::core::mem::offset_of!(start_info, pt_base) - 60usize];
    [
        "Offset of field: start_info::nr_pt_frames",
    ][::core::mem::offset_of!(start_info, nr_pt_frames) - 64usize];
    [
        "Offset of field: start_info::mfn_list",
    ][::core::mem::offset_of!(start_info, mfn_list) - 68usize];
    [
        "Offset of field: start_info::mod_start",
    ][::core::mem::offset_of!(start_info, mod_start) - 72usize];
    [
        "Offset of field: start_info::mod_len",
    ][::core::mem::offset_of!(start_info, mod_len) - 76usize];
    [
        "Offset of field: start_info::cmd_line",
    ][::core::mem::offset_of!(start_info, cmd_line) - 80usize];
    [
        "Offset of field: start_info::first_p2m_pfn",
    ][::core::mem::offset_of!(start_info, first_p2m_pfn) - 1104usize];
    [
        "Offset of field: start_info::nr_p2m_frames",
    ][::core::mem::offset_of!(start_info, nr_p2m_frames) - 1108usize];
};
impl Default for start_info {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
pub const XEN_EPERM: xen_errno = 1;
pub const XEN_ENOENT: xen_errno = 2;
pub const XEN_ESRCH: xen_errno = 3;
pub const XEN_EIO: xen_errno = 5;
pub const XEN_ENXIO: xen_errno = 6;
pub const XEN_E2BIG: xen_errno = 7;
pub const XEN_ENOEXEC: xen_errno = 8;
pub const XEN_EBADF: xen_errno = 9;
pub const XEN_ECHILD: xen_errno = 10;
pub const XEN_EAGAIN: xen_errno = 11;
pub const XEN_EWOULDBLOCK: xen_errno = 11;
pub const XEN_ENOMEM: xen_errno = 12;
pub const XEN_EACCES: xen_errno = 13;
pub const XEN_EFAULT: xen_errno = 14;
pub const XEN_EBUSY: xen_errno = 16;
pub const XEN_EEXIST: xen_errno = 17;
pub const XEN_EXDEV: xen_errno = 18;
pub const XEN_ENODEV: xen_errno = 19;
pub const XEN_ENOTDIR: xen_errno = 20;
pub const XEN_EISDIR: xen_errno = 21;
pub const XEN_EINVAL: xen_errno = 22;
pub const XEN_ENFILE: xen_errno = 23;
pub const XEN_EMFILE: xen_errno = 24;
pub const XEN_ENOSPC: xen_errno = 28;
pub const XEN_EROFS: xen_errno = 30;
pub const XEN_EMLINK: xen_errno = 31;
pub const XEN_EDOM: xen_errno = 33;
pub const XEN_ERANGE: xen_errno = 34;
pub const XEN_EDEADLK: xen_errno = 35;
pub const XEN_EDEADLOCK: xen_errno = 35;
pub const XEN_ENAMETOOLONG: xen_errno = 36;
pub const XEN_ENOLCK: xen_errno = 37;
pub const XEN_ENOSYS: xen_errno = 38;
pub const XEN_ENOTEMPTY: xen_errno = 39;
pub const XEN_ENODATA: xen_errno = 61;
pub const XEN_ETIME: xen_errno = 62;
pub const XEN_EBADMSG: xen_errno = 74;
pub const XEN_EOVERFLOW: xen_errno = 75;
pub const XEN_EILSEQ: xen_errno = 84;
pub const XEN_ENOTSOCK: xen_errno = 88;
pub const XEN_EMSGSIZE: xen_errno = 90;
pub const XEN_EOPNOTSUPP: xen_errno = 95;
pub const XEN_EADDRINUSE: xen_errno = 98;
pub const XEN_EADDRNOTAVAIL: xen_errno = 99;
pub const XEN_ENOBUFS: xen_errno = 105;
pub const XEN_EISCONN: xen_errno = 106;
pub const XEN_ENOTCONN: xen_errno = 107;
pub const XEN_ETIMEDOUT: xen_errno = 110;
pub const XEN_ECONNREFUSED: xen_errno = 111;
pub type xen_errno = ::core::ffi::c_uint;
pub type xen_extraversion_t = [::core::ffi::c_char; 16usize];
pub type xen_capabilities_info_t = [::core::ffi::c_char; 1024usize];
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xen_feature_info {
    pub submap_idx: ::core::ffi::c_uint,
    pub submap: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xen_feature_info"][::core::mem::size_of::<xen_feature_info>() - 8usize];
    [
        "Alignment of xen_feature_info",
    ][::core::mem::align_of::<xen_feature_info>() - 4usize];
    [
        "Offset of field: xen_feature_info::submap_idx",
    ][::core::mem::offset_of!(xen_feature_info, submap_idx) - 0usize];
    [
        "Offset of field: xen_feature_info::submap",
    ][::core::mem::offset_of!(xen_feature_info, submap) - 4usize];
};
pub type evtchn_port_t = u32;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct __guest_handle_evtchn_port_t {
    pub p: *mut evtchn_port_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of __guest_handle_evtchn_port_t",
    ][::core::mem::size_of::<__guest_handle_evtchn_port_t>() - 4usize];
    [
        "Alignment of __guest_handle_evtchn_port_t",
    ][::core::mem::align_of::<__guest_handle_evtchn_port_t>() - 4usize];
    [
        "Offset of field: __guest_handle_evtchn_port_t::p",
    ][::core::mem::offset_of!(__guest_handle_evtchn_port_t, p) - 0usize];
};
impl Default for __guest_handle_evtchn_port_t {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_alloc_unbound {
    pub dom: domid_t,
    pub remote_dom: domid_t,
    pub port: evtchn_port_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of evtchn_alloc_unbound",
    ][::core::mem::size_of::<evtchn_alloc_unbound>() - 8usize];
    [
        "Alignment of evtchn_alloc_unbound",
    ][::core::mem::align_of::<evtchn_alloc_unbound>() - 4usize];
    [
        "Offset of field: evtchn_alloc_unbound::dom",
    ][::core::mem::offset_of!(evtchn_alloc_unbound, dom) - 0usize];
    [
        "Offset of field: evtchn_alloc_unbound::remote_dom",
    ][::core::mem::offset_of!(evtchn_alloc_unbound, remote_dom) - 2usize];
    [
        "Offset of field: evtchn_alloc_unbound::port",
    ][::core::mem::offset_of!(evtchn_alloc_unbound, port) - 4usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_bind_interdomain {
    pub remote_dom: domid_t,
    pub remote_port: evtchn_port_t,
    pub local_port: evtchn_port_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of evtchn_bind_interdomain",
    ][::core::mem::size_of::<evtchn_bind_interdomain>() - 12usize];
    [
        "Alignment of evtchn_bind_interdomain",
    ][::core::mem::align_of::<evtchn_bind_interdomain>() - 4usize];
    [
        "Offset of field: evtchn_bind_interdomain::remote_dom",
    ][::core::mem::offset_of!(evtchn_bind_interdomain, remote_dom) - 0usize];
    [
        "Offset of field: evtchn_bind_interdomain::remote_port",
    ][::core::mem::offset_of!(evtchn_bind_interdomain, remote_port) - 4usize];
    [
        "Offset of field: evtchn_bind_interdomain::local_port",
    ][::core::mem::offset_of!(evtchn_bind_interdomain, local_port) - 8usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_bind_virq {
    pub virq: u32,
    pub vcpu: u32,
    pub port: evtchn_port_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of evtchn_bind_virq"][::core::mem::size_of::<evtchn_bind_virq>() - 12usize];
    [
        "Alignment of evtchn_bind_virq",
    ][::core::mem::align_of::<evtchn_bind_virq>() - 4usize];
    [
        "Offset of field: evtchn_bind_virq::virq",
    ][::core::mem::offset_of!(evtchn_bind_virq, virq) - 0usize];
    [
        "Offset of field: evtchn_bind_virq::vcpu",
    ][::core::mem::offset_of!(evtchn_bind_virq, vcpu) - 4usize];
    [
        "Offset of field: evtchn_bind_virq::port",
    ][::core::mem::offset_of!(evtchn_bind_virq, port) - 8usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_bind_ipi {
    pub vcpu: u32,
    pub port: evtchn_port_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of evtchn_bind_ipi"][::core::mem::size_of::<evtchn_bind_ipi>() - 8usize];
    [
        "Alignment of evtchn_bind_ipi",
    ][::core::mem::align_of::<evtchn_bind_ipi>() - 4usize];
    [
        "Offset of field: evtchn_bind_ipi::vcpu",
    ][::core::mem::offset_of!(evtchn_bind_ipi, vcpu) - 0usize];
    [
        "Offset of field: evtchn_bind_ipi::port",
    ][::core::mem::offset_of!(evtchn_bind_ipi, port) - 4usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_close {
    pub port: evtchn_port_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of evtchn_close"][::core::mem::size_of::<evtchn_close>() - 4usize];
    ["Alignment of evtchn_close"][::core::mem::align_of::<evtchn_close>() - 4usize];
    [
        "Offset of field: evtchn_close::port",
    ][::core::mem::offset_of!(evtchn_close, port) - 0usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_send {
    pub port: evtchn_port_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of evtchn_send"][::core::mem::size_of::<evtchn_send>() - 4usize];
    ["Alignment of evtchn_send"][::core::mem::align_of::<evtchn_send>() - 4usize];
    [
        "Offset of field: evtchn_send::port",
    ][::core::mem::offset_of!(evtchn_send, port) - 0usize];
};
#[repr(C)]
#[derive(Copy, Clone)]
pub struct evtchn_status {
    pub dom: domid_t,
    pub port: evtchn_port_t,
    pub status: u32,
    pub vcpu: u32,
    pub u: evtchn_status__bindgen_ty_1,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union evtchn_status__bindgen_ty_1 {
    pub unbound: evtchn_status__bindgen_ty_1__bindgen_ty_1,
    pub interdomain: evtchn_status__bindgen_ty_1__bindgen_ty_2,
    pub pirq: u32,
    pub virq: u32,
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_status__bindgen_ty_1__bindgen_ty_1 {
    pub dom: domid_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of evtchn_status__bindgen_ty_1__bindgen_ty_1",
    ][::core::mem::size_of::<evtchn_status__bindgen_ty_1__bindgen_ty_1>() - 2usize];
    [
        "Alignment of evtchn_status__bindgen_ty_1__bindgen_ty_1",
    ][::core::mem::align_of::<evtchn_status__bindgen_ty_1__bindgen_ty_1>() - 2usize];
    [
        "Offset of field: evtchn_status__bindgen_ty_1__bindgen_ty_1::dom",
    ][::core::mem::offset_of!(evtchn_status__bindgen_ty_1__bindgen_ty_1, dom) - 0usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_status__bindgen_ty_1__bindgen_ty_2 {
    pub dom: domid_t,
    pub port: evtchn_port_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of evtchn_status__bindgen_ty_1__bindgen_ty_2",
    ][::core::mem::size_of::<evtchn_status__bindgen_ty_1__bindgen_ty_2>() - 8usize];
    [
        "Alignment of evtchn_status__bindgen_ty_1__bindgen_ty_2",
    ][::core::mem::align_of::<evtchn_status__bindgen_ty_1__bindgen_ty_2>() - 4usize];
    [
        "Offset of field: evtchn_status__bindgen_ty_1__bindgen_ty_2::dom",
    ][::core::mem::offset_of!(evtchn_status__bindgen_ty_1__bindgen_ty_2, dom) - 0usize];
    [
        "Offset of field: evtchn_status__bindgen_ty_1__bindgen_ty_2::port",
    ][::core::mem::offset_of!(evtchn_status__bindgen_ty_1__bindgen_ty_2, port) - 4usize];
};
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of evtchn_status__bindgen_ty_1",
    ][::core::mem::size_of::<evtchn_status__bindgen_ty_1>() - 8usize];
    [
        "Alignment of evtchn_status__bindgen_ty_1",
    ][::core::mem::align_of::<evtchn_status__bindgen_ty_1>() - 4usize];
    [
        "Offset of field: evtchn_status__bindgen_ty_1::unbound",
    ][::core::mem::offset_of!(evtchn_status__bindgen_ty_1, unbound) - 0usize];
    [
        "Offset of field: evtchn_status__bindgen_ty_1::interdomain",
    ][::core::mem::offset_of!(evtchn_status__bindgen_ty_1, interdomain) - 0usize];
    [
        "Offset of field: evtchn_status__bindgen_ty_1::pirq",
    ][::core::mem::offset_of!(evtchn_status__bindgen_ty_1, pirq) - 0usize];
    [
        "Offset of field: evtchn_status__bindgen_ty_1::virq",
    ][::core::mem::offset_of!(evtchn_status__bindgen_ty_1, virq) - 0usize];
};
impl Default for evtchn_status__bindgen_ty_1 {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of evtchn_status"][::core::mem::size_of::<evtchn_status>() - 24usize];
    ["Alignment of evtchn_status"][::core::mem::align_of::<evtchn_status>() - 4usize];
    [
        "Offset of field: evtchn_status::dom",
    ][::core::mem::offset_of!(evtchn_status, dom) - 0usize];
    [
        "Offset of field: evtchn_status::port",
    ][::core::mem::offset_of!(evtchn_status, port) - 4usize];
    [
        "Offset of field: evtchn_status::status",
    ][::core::mem::offset_of!(evtchn_status, status) - 8usize];
    [
        "Offset of field: evtchn_status::vcpu",
    ][::core::mem::offset_of!(evtchn_status, vcpu) - 12usize];
    [
        "Offset of field: evtchn_status::u",
    ][::core::mem::offset_of!(evtchn_status, u) - 16usize];
};
impl Default for evtchn_status {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_bind_vcpu {
    pub port: evtchn_port_t,
    pub vcpu: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of evtchn_bind_vcpu"][::core::mem::size_of::<evtchn_bind_vcpu>() - 8usize];
    [
        "Alignment of evtchn_bind_vcpu",
    ][::core::mem::align_of::<evtchn_bind_vcpu>() - 4usize];
    [
        "Offset of field: evtchn_bind_vcpu::port",
    ][::core::mem::offset_of!(evtchn_bind_vcpu, port) - 0usize];
    [
        "Offset of field: evtchn_bind_vcpu::vcpu",
    ][::core::mem::offset_of!(evtchn_bind_vcpu, vcpu) - 4usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_unmask {
    pub port: evtchn_port_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of evtchn_unmask"][::core::mem::size_of::<evtchn_unmask>() - 4usize];
    ["Alignment of evtchn_unmask"][::core::mem::align_of::<evtchn_unmask>() - 4usize];
    [
        "Offset of field: evtchn_unmask::port",
    ][::core::mem::offset_of!(evtchn_unmask, port) - 0usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_reset {
    pub dom: domid_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of evtchn_reset"][::core::mem::size_of::<evtchn_reset>() - 2usize];
    ["Alignment of evtchn_reset"][::core::mem::align_of::<evtchn_reset>() - 2usize];
    [
        "Offset of field: evtchn_reset::dom",
    ][::core::mem::offset_of!(evtchn_reset, dom) - 0usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_init_control {
    pub control_gfn: u64,
    pub offset: u32,
    pub vcpu: u32,
    pub link_bits: u8,
    pub _pad: [u8; 7usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of evtchn_init_control",
    ][::core::mem::size_of::<evtchn_init_control>() - 24usize];
    [
        "Alignment of evtchn_init_control",
    ][::core::mem::align_of::<evtchn_init_control>() - 4usize];
    [
        "Offset of field: evtchn_init_control::control_gfn",
    ][::core::mem::offset_of!(evtchn_init_control, control_gfn) - 0usize];
    [
        "Offset of field: evtchn_init_control::offset",
    ][::core::mem::offset_of!(evtchn_init_control, offset) - 8usize];
    [
        "Offset of field: evtchn_init_control::vcpu",
    ][::core::mem::offset_of!(evtchn_init_control, vcpu) - 12usize];
    [
        "Offset of field: evtchn_init_control::link_bits",
    ][::core::mem::offset_of!(evtchn_init_control, link_bits) - 16usize];
    [
        "Offset of field: evtchn_init_control::_pad",
    ][::core::mem::offset_of!(evtchn_init_control, _pad) - 17usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_expand_array {
    pub array_gfn: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of evtchn_expand_array",
    ][::core::mem::size_of::<evtchn_expand_array>() - 8usize];
    [
        "Alignment of evtchn_expand_array",
    ][::core::mem::align_of::<evtchn_expand_array>() - 4usize];
    [
        "Offset of field: evtchn_expand_array::array_gfn",
    ][::core::mem::offset_of!(evtchn_expand_array, array_gfn) - 0usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_set_priority {
    pub port: evtchn_port_t,
    pub priority: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of evtchn_set_priority",
    ][::core::mem::size_of::<evtchn_set_priority>() - 8usize];
    [
        "Alignment of evtchn_set_priority",
    ][::core::mem::align_of::<evtchn_set_priority>() - 4usize];
    [
        "Offset of field: evtchn_set_priority::port",
    ][::core::mem::offset_of!(evtchn_set_priority, port) - 0usize];
    [
        "Offset of field: evtchn_set_priority::priority",
    ][::core::mem::offset_of!(evtchn_set_priority, priority) - 4usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct evtchn_fifo_control_block {
    pub ready: u32,
    pub _rsvd: u32,
    pub head: [u32; 16usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of evtchn_fifo_control_block",
    ][::core::mem::size_of::<evtchn_fifo_control_block>() - 72usize];
    [
        "Alignment of evtchn_fifo_control_block",
    ][::core::mem::align_of::<evtchn_fifo_control_block>() - 4usize];
    [
        "Offset of field: evtchn_fifo_control_block::ready",
    ][::core::mem::offset_of!(evtchn_fifo_control_block, ready) - 0usize];
    [
        "Offset of field: evtchn_fifo_control_block::_rsvd",
    ][::core::mem::offset_of!(evtchn_fifo_control_block, _rsvd) - 4usize];
    [
        "Offset of field: evtchn_fifo_control_block::head",
    ][::core::mem::offset_of!(evtchn_fifo_control_block, head) - 8usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct sched_shutdown {
    pub reason: ::core::ffi::c_uint,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of sched_shutdown"][::core::mem::size_of::<sched_shutdown>() - 4usize];
    ["Alignment of sched_shutdown"][::core::mem::align_of::<sched_shutdown>() - 4usize];
    [
        "Offset of field: sched_shutdown::reason",
    ][::core::mem::offset_of!(sched_shutdown, reason) - 0usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct sched_poll {
    pub ports: __guest_handle_evtchn_port_t,
    pub nr_ports: ::core::ffi::c_uint,
    pub timeout: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of sched_poll"][::core::mem::size_of::<sched_poll>() - 16usize];
    ["Alignment of sched_poll"][::core::mem::align_of::<sched_poll>() - 4usize];
    [
        "Offset of field: sched_poll::ports",
    ][::core::mem::offset_of!(sched_poll, ports) - 0usize];
    [
        "Offset of field: sched_poll::nr_ports",
    ][::core::mem::offset_of!(sched_poll, nr_ports) - 4usize];
    [
        "Offset of field: sched_poll::timeout",
    ][::core::mem::offset_of!(sched_poll, timeout) - 8usize];
};
impl Default for sched_poll {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct vcpu_runstate_info {
    pub state: ::core::ffi::c_int,
    pub state_entry_time: u64,
    pub time: [u64; 4usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of vcpu_runstate_info",
    ][::core::mem::size_of::<vcpu_runstate_info>() - 44usize];
    [
        "Alignment of vcpu_runstate_info",
    ][::core::mem::align_of::<vcpu_runstate_info>() - 4usize];
    [
        "Offset of field: vcpu_runstate_info::state",
    ][::core::mem::offset_of!(vcpu_runstate_info, state) - 0usize];
    [
        "Offset of field: vcpu_runstate_info::state_entry_time",
    ][::core::mem::offset_of!(vcpu_runstate_info, state_entry_time) - 4usize];
    [
        "Offset of field: vcpu_runstate_info::time",
    ][::core::mem::offset_of!(vcpu_runstate_info, time) - 12usize];
};
pub type vcpu_runstate_info_t = vcpu_runstate_info;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct __guest_handle_vcpu_runstate_info_t {
    pub p: *mut vcpu_runstate_info_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of __guest_handle_vcpu_runstate_info_t",
    ][::core::mem::size_of::<__guest_handle_vcpu_runstate_info_t>() - 4usize];
    [
        "Alignment of __guest_handle_vcpu_runstate_info_t",
    ][::core::mem::align_of::<__guest_handle_vcpu_runstate_info_t>() - 4usize];
    [
        "Offset of field: __guest_handle_vcpu_runstate_info_t::p",
    ][::core::mem::offset_of!(__guest_handle_vcpu_runstate_info_t, p) - 0usize];
};
impl Default for __guest_handle_vcpu_runstate_info_t {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct vcpu_register_runstate_memory_area {
    pub addr: vcpu_register_runstate_memory_area__bindgen_ty_1,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union vcpu_register_runstate_memory_area__bindgen_ty_1 {
    pub h: __guest_handle_vcpu_runstate_info_t,
    pub v: *mut vcpu_runstate_info,
    pub p: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of vcpu_register_runstate_memory_area__bindgen_ty_1",
    ][::core::mem::size_of::<vcpu_register_runstate_memory_area__bindgen_ty_1>()
        - 8usize];
    [
        "Alignment of vcpu_register_runstate_memory_area__bindgen_ty_1",
    ][::core::mem::align_of::<vcpu_register_runstate_memory_area__bindgen_ty_1>()
        - 4usize];
    [
        "Offset of field: vcpu_register_runstate_memory_area__bindgen_ty_1::h",
    ][::core::mem::offset_of!(vcpu_register_runstate_memory_area__bindgen_ty_1, h)
        - 0usize];
    [
        "Offset of field: vcpu_register_runstate_memory_area__bindgen_ty_1::v",
    ][::core::mem::offset_of!(vcpu_register_runstate_memory_area__bindgen_ty_1, v)
        - 0usize];
    [
        "Offset of field: vcpu_register_runstate_memory_area__bindgen_ty_1::p",
    ][::core::mem::offset_of!(vcpu_register_runstate_memory_area__bindgen_ty_1, p)
        - 0usize];
};
impl Default for vcpu_register_runstate_memory_area__bindgen_ty_1 {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of vcpu_register_runstate_memory_area",
    ][::core::mem::size_of::<vcpu_register_runstate_memory_area>() - 8usize];
    [
        "Alignment of vcpu_register_runstate_memory_area",
    ][::core::mem::align_of::<vcpu_register_runstate_memory_area>() - 4usize];
    [
        "Offset of field: vcpu_register_runstate_memory_area::addr",
    ][::core::mem::offset_of!(vcpu_register_runstate_memory_area, addr) - 0usize];
};
impl Default for vcpu_register_runstate_memory_area {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct vcpu_set_periodic_timer {
    pub period_ns: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of vcpu_set_periodic_timer",
    ][::core::mem::size_of::<vcpu_set_periodic_timer>() - 8usize];
    [
        "Alignment of vcpu_set_periodic_timer",
    ][::core::mem::align_of::<vcpu_set_periodic_timer>() - 4usize];
    [
        "Offset of field: vcpu_set_periodic_timer::period_ns",
    ][::core::mem::offset_of!(vcpu_set_periodic_timer, period_ns) - 0usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct vcpu_set_singleshot_timer {
    pub timeout_abs_ns: u64,
    pub flags: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of vcpu_set_singleshot_timer",
    ][::core::mem::size_of::<vcpu_set_singleshot_timer>() - 12usize];
    [
        "Alignment of vcpu_set_singleshot_timer",
    ][::core::mem::align_of::<vcpu_set_singleshot_timer>() - 4usize];
    [
        "Offset of field: vcpu_set_singleshot_timer::timeout_abs_ns",
    ][::core::mem::offset_of!(vcpu_set_singleshot_timer, timeout_abs_ns) - 0usize];
    [
        "Offset of field: vcpu_set_singleshot_timer::flags",
    ][::core::mem::offset_of!(vcpu_set_singleshot_timer, flags) - 8usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct vcpu_register_vcpu_info {
    pub mfn: u64,
    pub offset: u32,
    pub rsvd: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of vcpu_register_vcpu_info",
    ][::core::mem::size_of::<vcpu_register_vcpu_info>() - 16usize];
    [
        "Alignment of vcpu_register_vcpu_info",
    ][::core::mem::align_of::<vcpu_register_vcpu_info>() - 4usize];
    [
        "Offset of field: vcpu_register_vcpu_info::mfn",
    ][::core::mem::offset_of!(vcpu_register_vcpu_info, mfn) - 0usize];
    [
        "Offset of field: vcpu_register_vcpu_info::offset",
    ][::core::mem::offset_of!(vcpu_register_vcpu_info, offset) - 8usize];
    [
        "Offset of field: vcpu_register_vcpu_info::rsvd",
    ][::core::mem::offset_of!(vcpu_register_vcpu_info, rsvd) - 12usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct __guest_handle_vcpu_time_info_t {
    pub p: *mut vcpu_time_info_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of __guest_handle_vcpu_time_info_t",
    ][::core::mem::size_of::<__guest_handle_vcpu_time_info_t>() - 4usize];
    [
        "Alignment of __guest_handle_vcpu_time_info_t",
    ][::core::mem::align_of::<__guest_handle_vcpu_time_info_t>() - 4usize];
    [
        "Offset of field: __guest_handle_vcpu_time_info_t::p",
    ][::core::mem::offset_of!(__guest_handle_vcpu_time_info_t, p) - 0usize];
};
impl Default for __guest_handle_vcpu_time_info_t {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Copy, Clone)]
pub struct vcpu_register_time_memory_area {
    pub addr: vcpu_register_time_memory_area__bindgen_ty_1,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union vcpu_register_time_memory_area__bindgen_ty_1 {
    pub h: __guest_handle_vcpu_time_info_t,
    pub v: *mut vcpu_time_info,
    pub p: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of vcpu_register_time_memory_area__bindgen_ty_1",
    ][::core::mem::size_of::<vcpu_register_time_memory_area__bindgen_ty_1>() - 8usize];
    [
        "Alignment of vcpu_register_time_memory_area__bindgen_ty_1",
    ][::core::mem::align_of::<vcpu_register_time_memory_area__bindgen_ty_1>() - 4usize];
    [
        "Offset of field: vcpu_register_time_memory_area__bindgen_ty_1::h",
    ][::core::mem::offset_of!(vcpu_register_time_memory_area__bindgen_ty_1, h) - 0usize];
    [
        "Offset of field: vcpu_register_time_memory_area__bindgen_ty_1::v",
    ][::core::mem::offset_of!(vcpu_register_time_memory_area__bindgen_ty_1, v) - 0usize];
    [
        "Offset of field: vcpu_register_time_memory_area__bindgen_ty_1::p",
    ][::core::mem::offset_of!(vcpu_register_time_memory_area__bindgen_ty_1, p) - 0usize];
};
impl Default for vcpu_register_time_memory_area__bindgen_ty_1 {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of vcpu_register_time_memory_area",
    ][::core::mem::size_of::<vcpu_register_time_memory_area>() - 8usize];
    [
        "Alignment of vcpu_register_time_memory_area",
    ][::core::mem::align_of::<vcpu_register_time_memory_area>() - 4usize];
    [
        "Offset of field: vcpu_register_time_memory_area::addr",
    ][::core::mem::offset_of!(vcpu_register_time_memory_area, addr) - 0usize];
};
impl Default for vcpu_register_time_memory_area {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct physdev_eoi {
    pub irq: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of physdev_eoi"][::core::mem::size_of::<physdev_eoi>() - 4usize];
    ["Alignment of physdev_eoi"][::core::mem::align_of::<physdev_eoi>() - 4usize];
    [
        "Offset of field: physdev_eoi::irq",
    ][::core::mem::offset_of!(physdev_eoi, irq) - 0usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct physdev_set_iopl {
    pub iopl: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of physdev_set_iopl"][::core::mem::size_of::<physdev_set_iopl>() - 4usize];
    [
        "Alignment of physdev_set_iopl",
    ][::core::mem::align_of::<physdev_set_iopl>() - 4usize];
    [
        "Offset of field: physdev_set_iopl::iopl",
    ][::core::mem::offset_of!(physdev_set_iopl, iopl) - 0usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct xen_memory_reservation {
    pub extent_start: __guest_handle_xen_pfn_t,
    pub nr_extents: xen_ulong_t,
    pub extent_order: ::core::ffi::c_uint,
    pub mem_flags: ::core::ffi::c_uint,
    pub domid: domid_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of xen_memory_reservation",
    ][::core::mem::size_of::<xen_memory_reservation>() - 20usize];
    [
        "Alignment of xen_memory_reservation",
    ][::core::mem::align_of::<xen_memory_reservation>() - 4usize];
    [
        "Offset of field: xen_memory_reservation::extent_start",
    ][::core::mem::offset_of!(xen_memory_reservation, extent_start) - 0usize];
    [
        "Offset of field: xen_memory_reservation::nr_extents",
    ][::core::mem::offset_of!(xen_memory_reservation, nr_extents) - 4usize];
    [
        "Offset of field: xen_memory_reservation::extent_order",
    ][::core::mem::offset_of!(xen_memory_reservation, extent_order) - 8usize];
    [
        "Offset of field: xen_memory_reservation::mem_flags",
    ][::core::mem::offset_of!(xen_memory_reservation, mem_flags) - 12usize];
    [
        "Offset of field: xen_memory_reservation::domid",
    ][::core::mem::offset_of!(xen_memory_reservation, domid) - 16usize];
};
impl Default for xen_memory_reservation {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xen_machphys_mapping {
    pub v_start: xen_ulong_t,
    pub v_end: xen_ulong_t,
    pub max_mfn: xen_ulong_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of xen_machphys_mapping",
    ][::core::mem::size_of::<xen_machphys_mapping>() - 12usize];
    [
        "Alignment of xen_machphys_mapping",
    ][::core::mem::align_of::<xen_machphys_mapping>() - 4usize];
    [
        "Offset of field: xen_machphys_mapping::v_start",
    ][::core::mem::offset_of!(xen_machphys_mapping, v_start) - 0usize];
    [
        "Offset of field: xen_machphys_mapping::v_end",
    ][::core::mem::offset_of!(xen_machphys_mapping, v_end) - 4usize];
    [
        "Offset of field: xen_machphys_mapping::max_mfn",
    ][::core::mem::offset_of!(xen_machphys_mapping, max_mfn) - 8usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xen_add_to_physmap {
    pub domid: domid_t,
    pub size: u16,
    pub space: ::core::ffi::c_uint,
    pub idx: xen_ulong_t,
    pub gpfn: xen_pfn_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of xen_add_to_physmap",
    ][::core::mem::size_of::<xen_add_to_physmap>() - 16usize];
    [
        "Alignment of xen_add_to_physmap",
    ][::core::mem::align_of::<xen_add_to_physmap>() - 4usize];
    [
        "Offset of field: xen_add_to_physmap::domid",
    ][::core::mem::offset_of!(xen_add_to_physmap, domid) - 0usize];
    [
        "Offset of field: xen_add_to_physmap::size",
    ][::core::mem::offset_of!(xen_add_to_physmap, size) - 2usize];
    [
        "Offset of field: xen_add_to_physmap::space",
    ][::core::mem::offset_of!(xen_add_to_physmap, space) - 4usize];
    [
        "Offset of field: xen_add_to_physmap::idx",
    ][::core::mem::offset_of!(xen_add_to_physmap, idx) - 8usize];
    [
        "Offset of field: xen_add_to_physmap::gpfn",
    ][::core::mem::offset_of!(xen_add_to_physmap, gpfn) - 12usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xen_remove_from_physmap {
    pub domid: domid_t,
    pub gpfn: xen_pfn_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of xen_remove_from_physmap",
    ][::core::mem::size_of::<xen_remove_from_physmap>() - 8usize];
    [
        "Alignment of xen_remove_from_physmap",
    ][::core::mem::align_of::<xen_remove_from_physmap>() - 4usize];
    [
        "Offset of field: xen_remove_from_physmap::domid",
    ][::core::mem::offset_of!(xen_remove_from_physmap, domid) - 0usize];
    [
        "Offset of field: xen_remove_from_physmap::gpfn",
    ][::core::mem::offset_of!(xen_remove_from_physmap, gpfn) - 4usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct xen_memory_map {
    pub nr_entries: ::core::ffi::c_uint,
    pub buffer: __guest_handle_void,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xen_memory_map"][::core::mem::size_of::<xen_memory_map>() - 8usize];
    ["Alignment of xen_memory_map"][::core::mem::align_of::<xen_memory_map>() - 4usize];
    [
        "Offset of field: xen_memory_map::nr_entries",
    ][::core::mem::offset_of!(xen_memory_map, nr_entries) - 0usize];
    [
        "Offset of field: xen_memory_map::buffer",
    ][::core::mem::offset_of!(xen_memory_map, buffer) - 4usize];
};
impl Default for xen_memory_map {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
pub type grant_ref_t = u32;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct grant_entry_v1 {
    pub flags: u16,
    pub domid: domid_t,
    pub frame: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of grant_entry_v1"][::core::mem::size_of::<grant_entry_v1>() - 8usize];
    ["Alignment of grant_entry_v1"][::core::mem::align_of::<grant_entry_v1>() - 4usize];
    [
        "Offset of field: grant_entry_v1::flags",
    ][::core::mem::offset_of!(grant_entry_v1, flags) - 0usize];
    [
        "Offset of field: grant_entry_v1::domid",
    ][::core::mem::offset_of!(grant_entry_v1, domid) - 2usize];
    [
        "Offset of field: grant_entry_v1::frame",
    ][::core::mem::offset_of!(grant_entry_v1, frame) - 4usize];
};
pub type grant_handle_t = u32;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct gnttab_map_grant_ref {
    pub host_addr: u64,
    pub flags: u32,
    pub ref_: grant_ref_t,
    pub dom: domid_t,
    pub status: i16,
    pub handle: grant_handle_t,
    pub dev_bus_addr: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of gnttab_map_grant_ref",
    ][::core::mem::size_of::<gnttab_map_grant_ref>() - 32usize];
    [
        "Alignment of gnttab_map_grant_ref",
    ][::core::mem::align_of::<gnttab_map_grant_ref>() - 4usize];
    [
        "Offset of field: gnttab_map_grant_ref::host_addr",
    ][::core::mem::offset_of!(gnttab_map_grant_ref, host_addr) - 0usize];
    [
        "Offset of field: gnttab_map_grant_ref::flags",
    ][::core::mem::offset_of!(gnttab_map_grant_ref, flags) - 8usize];
    [
        "Offset of field: gnttab_map_grant_ref::ref_",
    ][::core::mem::offset_of!(gnttab_map_grant_ref, ref_) - 12usize];
    [
        "Offset of field: gnttab_map_grant_ref::dom",
    ][::core::mem::offset_of!(gnttab_map_grant_ref, dom) - 16usize];
    [
        "Offset of field: gnttab_map_grant_ref::status",
    ][::core::mem::offset_of!(gnttab_map_grant_ref, status) - 18usize];
    [
        "Offset of field: gnttab_map_grant_ref::handle",
    ][::core::mem::offset_of!(gnttab_map_grant_ref, handle) - 20usize];
    [
        "Offset of field: gnttab_map_grant_ref::dev_bus_addr",
    ][::core::mem::offset_of!(gnttab_map_grant_ref, dev_bus_addr) - 24usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct gnttab_unmap_grant_ref {
    pub host_addr: u64,
    pub dev_bus_addr: u64,
    pub handle: grant_handle_t,
    pub status: i16,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of gnttab_unmap_grant_ref",
    ][::core::mem::size_of::<gnttab_unmap_grant_ref>() - 24usize];
    [
        "Alignment of gnttab_unmap_grant_ref",
    ][::core::mem::align_of::<gnttab_unmap_grant_ref>() - 4usize];
    [
        "Offset of field: gnttab_unmap_grant_ref::host_addr",
    ][::core::mem::offset_of!(gnttab_unmap_grant_ref, host_addr) - 0usize];
    [
        "Offset of field: gnttab_unmap_grant_ref::dev_bus_addr",
    ][::core::mem::offset_of!(gnttab_unmap_grant_ref, dev_bus_addr) - 8usize];
    [
        "Offset of field: gnttab_unmap_grant_ref::handle",
    ][::core::mem::offset_of!(gnttab_unmap_grant_ref, handle) - 16usize];
    [
        "Offset of field: gnttab_unmap_grant_ref::status",
    ][::core::mem::offset_of!(gnttab_unmap_grant_ref, status) - 20usize];
};
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct gnttab_setup_table {
    pub dom: domid_t,
    pub nr_frames: u32,
    pub status: i16,
    pub frame_list: __guest_handle_xen_pfn_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of gnttab_setup_table",
    ][::core::mem::size_of::<gnttab_setup_table>() - 16usize];
    [
        "Alignment of gnttab_setup_table",
    ][::core::mem::align_of::<gnttab_setup_table>() - 4usize];
    [
        "Offset of field: gnttab_setup_table::dom",
    ][::core::mem::offset_of!(gnttab_setup_table, dom) - 0usize];
    [
        "Offset of field: gnttab_setup_table::nr_frames",
    ][::core::mem::offset_of!(gnttab_setup_table, nr_frames) - 4usize];
    [
        "Offset of field: gnttab_setup_table::status",
    ][::core::mem::offset_of!(gnttab_setup_table, status) - 8usize];
    [
        "Offset of field: gnttab_setup_table::frame_list",
    ][::core::mem::offset_of!(gnttab_setup_table, frame_list) - 12usize];
};
impl Default for gnttab_setup_table {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct gnttab_query_size {
    pub dom: domid_t,
    pub nr_frames: u32,
    pub max_nr_frames: u32,
    pub status: i16,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of gnttab_query_size"][::core::mem::size_of::<gnttab_query_size>() - 16usize];
    [
        "Alignment of gnttab_query_size",
    ][::core::mem::align_of::<gnttab_query_size>() - 4usize];
    [
        "Offset of field: gnttab_query_size::dom",
    ][::core::mem::offset_of!(gnttab_query_size, dom) - 0usize];
    [
        "Offset of field: gnttab_query_size::nr_frames",
    ][::core::mem::offset_of!(gnttab_query_size, nr_frames) - 4usize];
    [
        "Offset of field: gnttab_query_size::max_nr_frames",
    ][::core::mem::offset_of!(gnttab_query_size, max_nr_frames) - 8usize];
    [
        "Offset of field: gnttab_query_size::status",
    ][::core::mem::offset_of!(gnttab_query_size, status) - 12usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct gnttab_set_version {
    pub version: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of gnttab_set_version",
    ][::core::mem::size_of::<gnttab_set_version>() - 4usize];
    [
        "Alignment of gnttab_set_version",
    ][::core::mem::align_of::<gnttab_set_version>() - 4usize];
    [
        "Offset of field: gnttab_set_version::version",
    ][::core::mem::offset_of!(gnttab_set_version, version) - 0usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct gnttab_get_version {
    pub dom: domid_t,
    pub pad: u16,
    pub version: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of gnttab_get_version",
    ][::core::mem::size_of::<gnttab_get_version>() - 8usize];
    [
        "Alignment of gnttab_get_version",
    ][::core::mem::align_of::<gnttab_get_version>() - 4usize];
    [
        "Offset of field: gnttab_get_version::dom",
    ][::core::mem::offset_of!(gnttab_get_version, dom) - 0usize];
    [
        "Offset of field: gnttab_get_version::pad",
    ][::core::mem::offset_of!(gnttab_get_version, pad) - 2usize];
    [
        "Offset of field: gnttab_get_version::version",
    ][::core::mem::offset_of!(gnttab_get_version, version) - 4usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct callback_register {
    pub type_: u16,
    pub flags: u16,
    pub address: xen_callback_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of callback_register"][::core::mem::size_of::<callback_register>() - 12usize];
    [
        "Alignment of callback_register",
    ][::core::mem::align_of::<callback_register>() - 4usize];
    [
        "Offset of field: callback_register::type_",
    ][::core::mem::offset_of!(callback_register, type_) - 0usize];
    [
        "Offset of field: callback_register::flags",
    ][::core::mem::offset_of!(callback_register, flags) - 2usize];
    [
        "Offset of field: callback_register::address",
    ][::core::mem::offset_of!(callback_register, address) - 4usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct callback_unregister {
    pub type_: u16,
    pub _unused: u16,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of callback_unregister",
    ][::core::mem::size_of::<callback_unregister>() - 4usize];
    [
        "Alignment of callback_unregister",
    ][::core::mem::align_of::<callback_unregister>() - 2usize];
    [
        "Offset of field: callback_unregister::type_",
    ][::core::mem::offset_of!(callback_unregister, type_) - 0usize];
    [
        "Offset of field: callback_unregister::_unused",
    ][::core::mem::offset_of!(callback_unregister, _unused) - 2usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xennmi_callback {
    pub handler_address: ::core::ffi::c_ulong,
    pub pad: ::core::ffi::c_ulong,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xennmi_callback"][::core::mem::size_of::<xennmi_callback>() - 8usize];
    [
        "Alignment of xennmi_callback",
    ][::core::mem::align_of::<xennmi_callback>() - 4usize];
    [
        "Offset of field: xennmi_callback::handler_address",
    ][::core::mem::offset_of!(xennmi_callback, handler_address) - 0usize];
    [
        "Offset of field: xennmi_callback::pad",
    ][::core::mem::offset_of!(xennmi_callback, pad) - 4usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xen_hvm_param {
    pub domid: domid_t,
    pub pad: u16,
    pub index: u32,
    pub value: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xen_hvm_param"][::core::mem::size_of::<xen_hvm_param>() - 16usize];
    ["Alignment of xen_hvm_param"][::core::mem::align_of::<xen_hvm_param>() - 4usize];
    [
        "Offset of field: xen_hvm_param::domid",
    ][::core::mem::offset_of!(xen_hvm_param, domid) - 0usize];
    [
        "Offset of field: xen_hvm_param::pad",
    ][::core::mem::offset_of!(xen_hvm_param, pad) - 2usize];
    [
        "Offset of field: xen_hvm_param::index",
    ][::core::mem::offset_of!(xen_hvm_param, index) - 4usize];
    [
        "Offset of field: xen_hvm_param::value",
    ][::core::mem::offset_of!(xen_hvm_param, value) - 8usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xen_hvm_evtchn_upcall_vector {
    pub vcpu: u32,
    pub vector: u8,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of xen_hvm_evtchn_upcall_vector",
    ][::core::mem::size_of::<xen_hvm_evtchn_upcall_vector>() - 8usize];
    [
        "Alignment of xen_hvm_evtchn_upcall_vector",
    ][::core::mem::align_of::<xen_hvm_evtchn_upcall_vector>() - 4usize];
    [
        "Offset of field: xen_hvm_evtchn_upcall_vector::vcpu",
    ][::core::mem::offset_of!(xen_hvm_evtchn_upcall_vector, vcpu) - 0usize];
    [
        "Offset of field: xen_hvm_evtchn_upcall_vector::vector",
    ][::core::mem::offset_of!(xen_hvm_evtchn_upcall_vector, vector) - 4usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct vcpu_hvm_x86_32 {
    pub eax: u32,
    pub ecx: u32,
    pub edx: u32,
    pub ebx: u32,
    pub esp: u32,
    pub ebp: u32,
    pub esi: u32,
    pub edi: u32,
    pub eip: u32,
    pub eflags: u32,
    pub cr0: u32,
    pub cr3: u32,
    pub cr4: u32,
    pub pad1: u32,
    pub efer: u64,
    pub cs_base: u32,
    pub ds_base: u32,
    pub ss_base: u32,
    pub es_base: u32,
    pub tr_base: u32,
    pub cs_limit: u32,
    pub ds_limit: u32,
    pub ss_limit: u32,
    pub es_limit: u32,
    pub tr_limit: u32,
    pub cs_ar: u16,
    pub ds_ar: u16,
    pub ss_ar: u16,
    pub es_ar: u16,
    pub tr_ar: u16,
    pub pad2: [u16; 3usize],
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of vcpu_hvm_x86_32"][::core::mem::size_of::<vcpu_hvm_x86_32>() - 120usize];
    [
        "Alignment of vcpu_hvm_x86_32",
    ][::core::mem::align_of::<vcpu_hvm_x86_32>() - 4usize];
    [
        "Offset of field: vcpu_hvm_x86_32::eax",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, eax) - 0usize];
    [
        "Offset of field: vcpu_hvm_x86_32::ecx",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, ecx) - 4usize];
    [
        "Offset of field: vcpu_hvm_x86_32::edx",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, edx) - 8usize];
    [
        "Offset of field: vcpu_hvm_x86_32::ebx",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, ebx) - 12usize];
    [
        "Offset of field: vcpu_hvm_x86_32::esp",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, esp) - 16usize];
    [
        "Offset of field: vcpu_hvm_x86_32::ebp",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, ebp) - 20usize];
    [
        "Offset of field: vcpu_hvm_x86_32::esi",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, esi) - 24usize];
    [
        "Offset of field: vcpu_hvm_x86_32::edi",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, edi) - 28usize];
    [
        "Offset of field: vcpu_hvm_x86_32::eip",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, eip) - 32usize];
    [
        "Offset of field: vcpu_hvm_x86_32::eflags",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, eflags) - 36usize];
    [
        "Offset of field: vcpu_hvm_x86_32::cr0",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, cr0) - 40usize];
    [
        "Offset of field: vcpu_hvm_x86_32::cr3",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, cr3) - 44usize];
    [
        "Offset of field: vcpu_hvm_x86_32::cr4",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, cr4) - 48usize];
    [
        "Offset of field: vcpu_hvm_x86_32::pad1",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, pad1) - 52usize];
    [
        "Offset of field: vcpu_hvm_x86_32::efer",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, efer) - 56usize];
    [
        "Offset of field: vcpu_hvm_x86_32::cs_base",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, cs_base) - 64usize];
    [
        "Offset of field: vcpu_hvm_x86_32::ds_base",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, ds_base) - 68usize];
    [
        "Offset of field: vcpu_hvm_x86_32::ss_base",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, ss_base) - 72usize];
    [
        "Offset of field: vcpu_hvm_x86_32::es_base",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, es_base) - 76usize];
    [
        "Offset of field: vcpu_hvm_x86_32::tr_base",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, tr_base) - 80usize];
    [
        "Offset of field: vcpu_hvm_x86_32::cs_limit",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, cs_limit) - 84usize];
    [
        "Offset of field: vcpu_hvm_x86_32::ds_limit",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, ds_limit) - 88usize];
    [
        "Offset of field: vcpu_hvm_x86_32::ss_limit",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, ss_limit) - 92usize];
    [
        "Offset of field: vcpu_hvm_x86_32::es_limit",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, es_limit) - 96usize];
    [
        "Offset of field: vcpu_hvm_x86_32::tr_limit",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, tr_limit) - 100usize];
    [
        "Offset of field: vcpu_hvm_x86_32::cs_ar",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, cs_ar) - 104usize];
    [
        "Offset of field: vcpu_hvm_x86_32::ds_ar",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, ds_ar) - 106usize];
    [
        "Offset of field: vcpu_hvm_x86_32::ss_ar",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, ss_ar) - 108usize];
    [
        "Offset of field: vcpu_hvm_x86_32::es_ar",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, es_ar) - 110usize];
    [
        "Offset of field: vcpu_hvm_x86_32::tr_ar",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, tr_ar) - 112usize];
    [
        "Offset of field: vcpu_hvm_x86_32::pad2",
    ][::core::mem::offset_of!(vcpu_hvm_x86_32, pad2) - 114usize];
};
pub type xen_vcpu_hvm_x86_32_t = vcpu_hvm_x86_32;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct vcpu_hvm_x86_64 {
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rbx: u64,
    pub rsp: u64,
    pub rbp: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rip: u64,
    pub rflags: u64,
    pub cr0: u64,
    pub cr3: u64,
    pub cr4: u64,
    pub efer: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of vcpu_hvm_x86_64"][::core::mem::size_of::<vcpu_hvm_x86_64>() - 112usize];
    [
        "Alignment of vcpu_hvm_x86_64",
    ][::core::mem::align_of::<vcpu_hvm_x86_64>() - 4usize];
    [
        "Offset of field: vcpu_hvm_x86_64::rax",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, rax) - 0usize];
    [
        "Offset of field: vcpu_hvm_x86_64::rcx",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, rcx) - 8usize];
    [
        "Offset of field: vcpu_hvm_x86_64::rdx",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, rdx) - 16usize];
    [
        "Offset of field: vcpu_hvm_x86_64::rbx",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, rbx) - 24usize];
    [
        "Offset of field: vcpu_hvm_x86_64::rsp",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, rsp) - 32usize];
    [
        "Offset of field: vcpu_hvm_x86_64::rbp",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, rbp) - 40usize];
    [
        "Offset of field: vcpu_hvm_x86_64::rsi",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, rsi) - 48usize];
    [
        "Offset of field: vcpu_hvm_x86_64::rdi",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, rdi) - 56usize];
    [
        "Offset of field: vcpu_hvm_x86_64::rip",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, rip) - 64usize];
    [
        "Offset of field: vcpu_hvm_x86_64::rflags",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, rflags) - 72usize];
    [
        "Offset of field: vcpu_hvm_x86_64::cr0",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, cr0) - 80usize];
    [
        "Offset of field: vcpu_hvm_x86_64::cr3",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, cr3) - 88usize];
    [
        "Offset of field: vcpu_hvm_x86_64::cr4",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, cr4) - 96usize];
    [
        "Offset of field: vcpu_hvm_x86_64::efer",
    ][::core::mem::offset_of!(vcpu_hvm_x86_64, efer) - 104usize];
};
pub type xen_vcpu_hvm_x86_64_t = vcpu_hvm_x86_64;
#[repr(C)]
#[derive(Copy, Clone)]
pub struct vcpu_hvm_context {
    pub mode: u32,
    pub pad: u32,
    pub cpu_regs: vcpu_hvm_context__bindgen_ty_1,
}
#[repr(C)]
#[derive(Copy, Clone)]
pub union vcpu_hvm_context__bindgen_ty_1 {
    pub x86_32: xen_vcpu_hvm_x86_32_t,
    pub x86_64: xen_vcpu_hvm_x86_64_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of vcpu_hvm_context__bindgen_ty_1",
    ][::core::mem::size_of::<vcpu_hvm_context__bindgen_ty_1>() - 120usize];
    [
        "Alignment of vcpu_hvm_context__bindgen_ty_1",
    ][::core::mem::align_of::<vcpu_hvm_context__bindgen_ty_1>() - 4usize];
    [
        "Offset of field: vcpu_hvm_context__bindgen_ty_1::x86_32",
    ][::core::mem::offset_of!(vcpu_hvm_context__bindgen_ty_1, x86_32) - 0usize];
    [
        "Offset of field: vcpu_hvm_context__bindgen_ty_1::x86_64",
    ][::core::mem::offset_of!(vcpu_hvm_context__bindgen_ty_1, x86_64) - 0usize];
};
impl Default for vcpu_hvm_context__bindgen_ty_1 {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of vcpu_hvm_context"][::core::mem::size_of::<vcpu_hvm_context>() - 128usize];
    [
        "Alignment of vcpu_hvm_context",
    ][::core::mem::align_of::<vcpu_hvm_context>() - 4usize];
    [
        "Offset of field: vcpu_hvm_context::mode",
    ][::core::mem::offset_of!(vcpu_hvm_context, mode) - 0usize];
    [
        "Offset of field: vcpu_hvm_context::pad",
    ][::core::mem::offset_of!(vcpu_hvm_context, pad) - 4usize];
    [
        "Offset of field: vcpu_hvm_context::cpu_regs",
    ][::core::mem::offset_of!(vcpu_hvm_context, cpu_regs) - 8usize];
};
impl Default for vcpu_hvm_context {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct hvm_start_info {
    pub magic: u32,
    pub version: u32,
    pub flags: u32,
    pub nr_modules: u32,
    pub modlist_paddr: u64,
    pub cmdline_paddr: u64,
    pub rsdp_paddr: u64,
    pub memmap_paddr: u64,
    pub memmap_entries: u32,
    pub reserved: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of hvm_start_info"][::core::mem::size_of::<hvm_start_info>() - 56usize];
    ["Alignment of hvm_start_info"][::core::mem::align_of::<hvm_start_info>() - 4usize];
    [
        "Offset of field: hvm_start_info::magic",
    ][::core::mem::offset_of!(hvm_start_info, magic) - 0usize];
    [
        "Offset of field: hvm_start_info::version",
    ][::core::mem::offset_of!(hvm_start_info, version) - 4usize];
    [
        "Offset of field: hvm_start_info::flags",
    ][::core::mem::offset_of!(hvm_start_info, flags) - 8usize];
    [
        "Offset of field: hvm_start_info::nr_modules",
    ][::core::mem::offset_of!(hvm_start_info, nr_modules) - 12usize];
    [
        "Offset of field: hvm_start_info::modlist_paddr",
    ][::core::mem::offset_of!(hvm_start_info, modlist_paddr) - 16usize];
    [
        "Offset of field: hvm_start_info::cmdline_paddr",
    ][::core::mem::offset_of!(hvm_start_info, cmdline_paddr) - 24usize];
    [
        "Offset of field: hvm_start_info::rsdp_paddr",
    ][::core::mem::offset_of!(hvm_start_info, rsdp_paddr) - 32usize];
    [
        "Offset of field: hvm_start_info::memmap_paddr",
    ][::core::mem::offset_of!(hvm_start_info, memmap_paddr) - 40usize];
    [
        "Offset of field: hvm_start_info::memmap_entries",
    ][::core::mem::offset_of!(hvm_start_info, memmap_entries) - 48usize];
    [
        "Offset of field: hvm_start_info::reserved",
    ][::core::mem::offset_of!(hvm_start_info, reserved) - 52usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct hvm_modlist_entry {
    pub paddr: u64,
    pub size: u64,
    pub cmdline_paddr: u64,
    pub reserved: u64,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of hvm_modlist_entry"][::core::mem::size_of::<hvm_modlist_entry>() - 32usize];
    [
        "Alignment of hvm_modlist_entry",
    ][::core::mem::align_of::<hvm_modlist_entry>() - 4usize];
    [
        "Offset of field: hvm_modlist_entry::paddr",
    ][::core::mem::offset_of!(hvm_modlist_entry, paddr) - 0usize];
    [
        "Offset of field: hvm_modlist_entry::size",
    ][::core::mem::offset_of!(hvm_modlist_entry, size) - 8usize];
    [
        "Offset of field: hvm_modlist_entry::cmdline_paddr",
    ][::core::mem::offset_of!(hvm_modlist_entry, cmdline_paddr) - 16usize];
    [
        "Offset of field: hvm_modlist_entry::reserved",
    ][::core::mem::offset_of!(hvm_modlist_entry, reserved) - 24usize];
};
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct hvm_memmap_table_entry {
    pub addr: u64,
    pub size: u64,
    pub type_: u32,
    pub reserved: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of hvm_memmap_table_entry",
    ][::core::mem::size_of::<hvm_memmap_table_entry>() - 24usize];
    [
        "Alignment of hvm_memmap_table_entry",
    ][::core::mem::align_of::<hvm_memmap_table_entry>() - 4usize];
    [
        "Offset of field: hvm_memmap_table_entry::addr",
    ][::core::mem::offset_of!(hvm_memmap_table_entry, addr) - 0usize];
    [
        "Offset of field: hvm_memmap_table_entry::size",
    ][::core::mem::offset_of!(hvm_memmap_table_entry, size) - 8usize];
    [
        "Offset of field: hvm_memmap_table_entry::type_",
    ][::core::mem::offset_of!(hvm_memmap_table_entry, type_) - 16usize];
    [
        "Offset of field: hvm_memmap_table_entry::reserved",
    ][::core::mem::offset_of!(hvm_memmap_table_entry, reserved) - 20usize];
};
pub const XS_CONTROL: xsd_sockmsg_type = 0;
pub const XS_DIRECTORY: xsd_sockmsg_type = 1;
pub const XS_READ: xsd_sockmsg_type = 2;
pub const XS_GET_PERMS: xsd_sockmsg_type = 3;
pub const XS_WATCH: xsd_sockmsg_type = 4;
pub const XS_UNWATCH: xsd_sockmsg_type = 5;
pub const XS_TRANSACTION_START: xsd_sockmsg_type = 6;
pub const XS_TRANSACTION_END: xsd_sockmsg_type = 7;
pub const XS_INTRODUCE: xsd_sockmsg_type = 8;
pub const XS_RELEASE: xsd_sockmsg_type = 9;
pub const XS_GET_DOMAIN_PATH: xsd_sockmsg_type = 10;
pub const XS_WRITE: xsd_sockmsg_type = 11;
pub const XS_MKDIR: xsd_sockmsg_type = 12;
pub const XS_RM: xsd_sockmsg_type = 13;
pub const XS_SET_PERMS: xsd_sockmsg_type = 14;
pub const XS_WATCH_EVENT: xsd_sockmsg_type = 15;
pub const XS_ERROR: xsd_sockmsg_type = 16;
pub const XS_IS_DOMAIN_INTRODUCED: xsd_sockmsg_type = 17;
pub const XS_RESUME: xsd_sockmsg_type = 18;
pub const XS_SET_TARGET: xsd_sockmsg_type = 19;
pub const XS_RESET_WATCHES: xsd_sockmsg_type = 21;
pub const XS_DIRECTORY_PART: xsd_sockmsg_type = 22;
pub const XS_TYPE_COUNT: xsd_sockmsg_type = 23;
pub const XS_INVALID: xsd_sockmsg_type = 65535;
pub type xsd_sockmsg_type = ::core::ffi::c_uint;
#[repr(C)]
#[derive(Debug, Default, Copy, Clone)]
pub struct xsd_sockmsg {
    pub type_: u32,
    pub req_id: u32,
    pub tx_id: u32,
    pub len: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of xsd_sockmsg"][::core::mem::size_of::<xsd_sockmsg>() - 16usize];
    ["Alignment of xsd_sockmsg"][::core::mem::align_of::<xsd_sockmsg>() - 4usize];
    [
        "Offset of field: xsd_sockmsg::type_",
    ][::core::mem::offset_of!(xsd_sockmsg, type_) - 0usize];
    [
        "Offset of field: xsd_sockmsg::req_id",
    ][::core::mem::offset_of!(xsd_sockmsg, req_id) - 4usize];
    [
        "Offset of field: xsd_sockmsg::tx_id",
    ][::core::mem::offset_of!(xsd_sockmsg, tx_id) - 8usize];
    [
        "Offset of field: xsd_sockmsg::len",
    ][::core::mem::offset_of!(xsd_sockmsg, len) - 12usize];
};
pub type XENSTORE_RING_IDX = u32;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct xenstore_domain_interface {
    pub req: [::core::ffi::c_char; 1024usize],
    pub rsp: [::core::ffi::c_char; 1024usize],
    pub req_cons: XENSTORE_RING_IDX,
    pub req_prod: XENSTORE_RING_IDX,
    pub rsp_cons: XENSTORE_RING_IDX,
    pub rsp_prod: XENSTORE_RING_IDX,
    pub server_features: u32,
    pub connection: u32,
    pub error: u32,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of xenstore_domain_interface",
    ][::core::mem::size_of::<xenstore_domain_interface>() - 2076usize];
    [
        "Alignment of xenstore_domain_interface",
    ][::core::mem::align_of::<xenstore_domain_interface>() - 4usize];
    [
        "Offset of field: xenstore_domain_interface::req",
    ][::core::mem::offset_of!(xenstore_domain_interface, req) - 0usize];
    [
        "Offset of field: xenstore_domain_interface::rsp",
    ][::core::mem::offset_of!(xenstore_domain_interface, rsp) - 1024usize];
    [
        "Offset of field: xenstore_domain_interface::req_cons",
    ][::core::mem::offset_of!(xenstore_domain_interface, req_cons) - 2048usize];
    [
        "Offset of field: xenstore_domain_interface::req_prod",
    ][::core::mem::offset_of!(xenstore_domain_interface, req_prod) - 2052usize];
    [
        "Offset of field: xenstore_domain_interface::rsp_cons",
    ][::core::mem::offset_of!(xenstore_domain_interface, rsp_cons) - 2056usize];
    [
        "Offset of field: xenstore_domain_interface::rsp_prod",
    ][::core::mem::offset_of!(xenstore_domain_interface, rsp_prod) - 2060usize];
    [
        "Offset of field: xenstore_domain_interface::server_features",
    ][::core::mem::offset_of!(xenstore_domain_interface, server_features) - 2064usize];
    [
        "Offset of field: xenstore_domain_interface::connection",
    ][::core::mem::offset_of!(xenstore_domain_interface, connection) - 2068usize];
    [
        "Offset of field: xenstore_domain_interface::error",
    ][::core::mem::offset_of!(xenstore_domain_interface, error) - 2072usize];
};
impl Default for xenstore_domain_interface {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
pub type XENCONS_RING_IDX = u32;
#[repr(C)]
#[derive(Debug, Copy, Clone)]
pub struct xencons_interface {
    pub in_: [::core::ffi::c_char; 1024usize],
    pub out: [::core::ffi::c_char; 2048usize],
    pub in_cons: XENCONS_RING_IDX,
    pub in_prod: XENCONS_RING_IDX,
    pub out_cons: XENCONS_RING_IDX,
    pub out_prod: XENCONS_RING_IDX,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    [
        "Size of xencons_interface",
    ][::core::mem::size_of::<xencons_interface>() - 3088usize];
    [
        "Alignment of xencons_interface",
    ][::core::mem::align_of::<xencons_interface>() - 4usize];
    [
        "Offset of field: xencons_interface::in_",
    ][::core::mem::offset_of!(xencons_interface, in_) - 0usize];
    [
        "Offset of field: xencons_interface::out",
    ][::core::mem::offset_of!(xencons_interface, out) - 1024usize];
    [
        "Offset of field: xencons_interface::in_cons",
    ][::core::mem::offset_of!(xencons_interface, in_cons) - 3072usize];
    [
        "Offset of field: xencons_interface::in_prod",
    ][::core::mem::offset_of!(xencons_interface, in_prod) - 3076usize];
    [
        "Offset of field: xencons_interface::out_cons",
    ][::core::mem::offset_of!(xencons_interface, out_cons) - 3080usize];
    [
        "Offset of field: xencons_interface::out_prod",
    ][::core::mem::offset_of!(xencons_interface, out_prod) - 3084usize];
};
impl Default for xencons_interface {
    fn default() -> Self {
        let mut s = ::core::mem::MaybeUninit::<Self>::uninit();
        unsafe {
            ::core::ptr::write_bytes(s.as_mut_ptr(), 0, 1);
            s.assume_init()
        }
    }
}
