// egress: what `dispatch` sends there has a place, leaves in order, each beat once and as it was, by the rules of
// AXI4-Stream. `dispatch` decides about a frame a clock before its first beat, by the `room` of that clock, and then sends
// all of it; no frame is longer than the longest that leaves.
localparam F_LONGEST = (LONGEST_OUT + BUS_BYTES - 1) / BUS_BYTES;
(* anyseq *) wire f_soon;
(* anyseq *) wire f_last;
reg f_open = 0; // a frame is being decided about, or beats of it are to come
reg f_takes = 0;
reg [15:0] f_beats = 0; // of that frame so far
reg f_sends = 0; // a beat comes in this clock
reg f_sends_first = 0;
reg f_sends_last = 0;
wire f_decided = f_open ? f_takes : room;
always @(posedge clk) begin
    f_sends <= f_soon & f_decided & ~rst;
    f_sends_first <= ~f_open;
    f_sends_last <= f_last;
    if (f_soon && f_beats == F_LONGEST - 1) assume (f_last);
    assume (push == f_sends);
    if (push) assume (beat.first == f_sends_first && beat.last == f_sends_last);
    if (rst) begin
        f_open <= 0;
        f_beats <= 0;
    end else if (f_soon) begin
        f_open <= ~f_last;
        f_takes <= f_decided;
        f_beats <= f_last ? 0 : f_beats + 1;
    end
end
// What may still come of the frame that is inside.
wire [15:0] f_left = (f_open && f_takes ? F_LONGEST - f_beats : 0) + f_sends;
wire f_one = push & f_sends_first;

// A beat that is offered stays.
reg f_stalled = 0;
reg [$bits(m_tdata)+$bits(m_tkeep)+$bits(m_tuser):0] f_offered;
wire [$bits(m_tdata)+$bits(m_tkeep)+$bits(m_tuser):0] f_now = {m_tlast, m_tuser, m_tkeep, m_tdata};
always @(posedge clk) begin
    f_stalled <= m_tvalid & ~m_tready & ~rst;
    f_offered <= f_now;
end

// Any one beat is followed from where it enters to where it leaves: head, the place behind it, memory. Of its data any one
// bit, which is the same for all time.
(* anyseq *) wire f_choose;
(* anyconst *) wire [$clog2(8 * BUS_BYTES)-1:0] f_bit;
localparam F_DATA = 8 * BUS_BYTES;
localparam F_COUNT = $clog2(BUS_BYTES) + 1;
wire f_pop = beats_valid & beats_head_ready;
reg f_follows = 0;
reg [15:0] f_ahead = 0;
reg [F_COUNT+2:0] f_beat; // error, last, count, the bit
wire [F_COUNT+2:0] f_coming = {cat_8[F_DATA+:F_COUNT+2], cat_8[f_bit]};
wire [1:0] f_in_front = {1'b0, beats_valid} + {1'b0, beats_behind_valid};
wire [15:0] f_deep = f_ahead - f_in_front; // place in the memory
wire [$bits(beats_q_read_at)-1:0] f_place = beats_q_read_at + f_deep;
wire [$bits(beats_q_read_at)-1:0] f_behind = beats_q_read_at + beats_q_count;
wire [$bits(cat_8)-1:0] f_row = beats_q_rows[f_place];
wire [$bits(cat_8)-1:0] f_row_next = beats_q_rows[beats_q_read_at];
wire [F_COUNT+2:0] f_there = {f_row[F_DATA+:F_COUNT+2], f_row[f_bit]};
wire [F_COUNT+2:0] f_next = {f_row_next[F_DATA+:F_COUNT+2], f_row_next[f_bit]};
wire [F_COUNT+2:0] f_out = {beats_q_out_data[F_DATA+:F_COUNT+2], beats_q_out_data[f_bit]};
wire [$bits(users_q_read_at)-1:0] f_users_behind = users_q_read_at + users_q_count;
always @(posedge clk) begin
    if (rst) f_follows <= 0;
    else if (f_follows) begin
        if (f_pop) begin
            if (f_ahead == 0) f_follows <= 0;
            f_ahead <= f_ahead - 1;
        end
    end else if (push & f_choose) begin
        f_follows <= 1;
        f_ahead <= beats_inside - f_pop;
        f_beat <= f_coming;
    end
end

always @(posedge clk) if (!rst) begin
    if (f_stalled) offer_stays: assert (m_tvalid);
    if (f_stalled) offered_data_stays: assert (f_now == f_offered);
    // Room for one is room for all of it.
    all_of_a_frame_fits: assert (beats_inside + f_left <= EGRESS_BEATS);
    all_sidebands_fit: assert (users_inside + f_one <= 256);
    takes_is_of_an_open_frame: assert (f_open ? f_beats != 0 && f_beats < F_LONGEST : f_beats == 0);
    if (f_sends && f_open) what_is_sent_is_of_it: assert (f_takes);
    all_beats_are_counted: assert (beats_inside == beats_q_count + f_in_front);
    all_sidebands_are_counted: assert (users_inside == users_q_count + users_valid + users_behind_valid);
    memory_is_between_pointers: assert (beats_q_write_at == f_behind);
    sidebands_are_between_pointers: assert (users_q_write_at == f_users_behind);
    if (beats_q_out_valid) offered_is_the_next: assert (f_out == f_next);
    if (f_follows) followed_is_inside: assert (f_ahead < beats_inside);
    if (f_follows && f_ahead == 0 && beats_valid) beat_comes_out: assert ({beats_word[F_DATA+:F_COUNT+2], beats_word[f_bit]} == f_beat);
    if (f_follows && f_ahead == 0 && m_tvalid) beat_is_shown: assert (m_tdata[f_bit] == f_beat[0] && m_tlast == f_beat[F_COUNT+1]
        && m_tkeep == ~({BUS_BYTES{1'b1}} << f_beat[F_COUNT:1]) && m_tuser[$bits(m_tuser)-1] == &f_beat[F_COUNT+2-:2]);
    if (f_follows && f_ahead == 1 && beats_behind_valid) beat_waits_behind: assert ({beats_behind[F_DATA+:F_COUNT+2], beats_behind[f_bit]} == f_beat);
    if (f_follows && f_ahead >= f_in_front) beat_waits_in_memory: assert (f_there == f_beat);
end

// Any one frame is followed: its sideband is with all of its beats.
(* anyseq *) wire f_choose_frame;
reg f_frame = 0;
reg [15:0] f_frame_ahead = 0;
reg [$bits(cat_65)-1:0] f_user;
always @(posedge clk) begin
    if (rst) f_frame <= 0;
    else if (f_frame) begin
        if (f_pop && f_frame_ahead != 0) f_frame_ahead <= f_frame_ahead - 1;
        if (f_pop && f_frame_ahead == 0 && m_tlast) f_frame <= 0;
    end else if (push & beat.first & f_choose_frame) begin
        f_frame <= 1;
        f_frame_ahead <= beats_inside - f_pop;
        f_user <= cat_65;
    end
end
always @(posedge clk) if (!rst && f_frame && f_frame_ahead == 0 && m_tvalid)
    bounded_sideband_is_the_frames: assert (m_tuser[$bits(cat_65)-1:0] == f_user);
