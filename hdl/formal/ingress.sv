// ingress: a frame enters the card whole, or cut off at the longest length with its error bit, its last beat and one
// count of `oversize`; nothing else leaves. Whatever `tkeep` is: a frame is spoilt if a beat of it had a hole or was not full in
// its middle, and no other. The register slice behind has a proof of its own.
// The sender's part of AXI4-Stream.
reg f_waits = 0;
reg [$bits(s_tdata)+$bits(s_tkeep)+$bits(s_tuser):0] f_sent;
wire [$bits(s_tdata)+$bits(s_tkeep)+$bits(s_tuser):0] f_now = {s_tlast, s_tuser, s_tkeep, s_tdata};
reg f_stalled = 0;
reg [$bits(out_data)-1:0] f_offered;
reg f_announced = 0;
reg f_nothing = 0;
always @(posedge clk) begin
    f_waits <= s_tvalid & ~s_tready & ~rst;
    f_sent <= f_now;
    f_stalled <= out_valid & ~out_ready & ~rst;
    f_offered <= out_data;
    f_announced <= (out_coming | out_behind) & ~rst;
    f_nothing <= ~(out_coming | out_behind) & (out_ready | ~out_valid) & ~rst;
end
always @(posedge clk) if (f_waits) assume (s_tvalid && f_now == f_sent);

// The frame at the input, and what of it was passed on.
wire f_in = s_tvalid & s_tready;
wire f_on = fire;
reg f_open = 0; // begun at the input, last beat not seen
reg f_done = 0; // of that frame, the last beat that leaves was passed on
reg [15:0] f_beats = 0;
reg f_cut = 0;
reg f_torn = 0; // a beat so far broke the rules
integer f_i;
reg f_hole;
reg [15:0] f_ones; // bytes kept from the lowest up
always @* begin
    f_hole = 0;
    f_ones = 0;
    for (f_i = 0; f_i < $bits(s_tkeep); f_i = f_i + 1) begin
        if (s_tkeep[f_i] && f_ones != f_i) f_hole = 1;
        if (s_tkeep[f_i] && f_ones == f_i) f_ones = f_i + 1;
    end
end
wire f_breaks = f_hole | ~s_tlast & f_ones != $bits(s_tkeep);
wire f_last_on = f_on & frame_end;
always @(posedge clk) begin
    if (rst) begin
        f_open <= 0;
        f_done <= 0;
        f_beats <= 0;
        f_cut <= 0;
        f_torn <= 0;
    end else begin
        if (f_on) f_torn <= ~frame_end & (f_torn | f_breaks);
        f_cut <= f_last_on & ~s_tlast;
        if (f_in) begin
            f_open <= ~s_tlast;
            f_done <= ~s_tlast & (f_done | f_last_on);
            f_beats <= s_tlast ? 0 : f_beats + (f_on ? 1 : 0);
        end
    end
end
localparam F_LONGEST = 9216 / ($bits(s_tdata) / 8);
always @(posedge clk) if (!rst) begin
    if (f_stalled) offer_stays: assert (out_valid);
    if (f_announced) more_comes: assert (out_valid);
    if (f_nothing) nothing_else_does: assert (!out_valid);
    if (f_stalled) offered_data_stays: assert (out_data == f_offered);
    if (f_in && !f_done) every_beat_passes: assert (f_on);
    if (f_done) nothing_behind_the_last: assert (!f_on);
    if (f_in && s_tlast && !f_done) last_ends_the_frame: assert (f_last_on && !cut);
    if (f_last_on && !s_tlast) only_the_longest_is_cut: assert (cut && f_beats == F_LONGEST - 1);
    cut_is_counted_once: assert (oversize == f_cut);
    if (f_on && frame_end) spoilt_if_broken_or_cut: assert (spoilt == (f_torn | f_breaks | cut));
    if (f_on) no_more_than_a_beat: assert (count <= $bits(s_tkeep));
    if (f_on && !f_hole) bytes_are_counted: assert (count == f_ones);
    torn_is_remembered: assert (torn == f_torn);
    thrown_away_is_done: assert (discard == (f_open && f_done));
    if (f_open && !f_done) beats_are_counted: assert (beats == f_beats && beats < F_LONGEST && beats != 0);
    if (!f_open || f_done) between_frames: assert (beats == 0);
    if (!f_open) no_frame_no_beats: assert (f_beats == 0);
    if (f_done) done_is_open: assert (f_open && f_beats <= F_LONGEST);
end
