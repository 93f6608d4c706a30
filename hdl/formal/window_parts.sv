// window of a wide bus: each frame's header is given out once, in its three parts a clock apart, the last of them with
// `header_valid`: as the beats come if they follow without a pause, else again when all are there.
reg f_open = 0;
reg [1:0] f_n = 0; // beats of the frame so far, 3 at most
reg f_paused = 0; // between its beats there was a clock without one
reg f_given = 0; // or on its way
reg f_v1 = 0, f_v2 = 0, f_a1 = 0, f_a2 = 0; // frames that began one and two clocks ago; frames completed with a pause
reg f_s1 = 0;
reg [8:0] f_b1, f_b2; // error, last, count
reg f_c1 = 0; // a beat that goes on with a frame, a clock ago
// Of a beat any one byte, the same for all time.
(* anyconst *) wire [5:0] f_byte;
wire [7:0] f_here = beat.data >> {f_byte, 3'd0};
wire [7:0] f_here0 = part0 >> {f_byte, 3'd0};
wire [7:0] f_here1 = part1 >> {f_byte, 3'd0};
wire [7:0] f_here2 = part2 >> {f_byte, 3'd0};
wire [7:0] f_kept0 = kept_0 >> {f_byte, 3'd0};
wire [7:0] f_kept1 = kept_1 >> {f_byte, 3'd0};
reg [7:0] f_data1, f_data2;
reg [23:0] f_bytes = 0, f_bytes1, f_bytes2;
reg [7:0] f_length1, f_length2;
reg f_more1, f_more2;
reg [67:0] f_side, f_side1, f_side2, f_again1, f_again2;
reg [7:0] f_p0_1, f_p0_2, f_p1_1;
reg [67:0] f_o1, f_o2;
wire f_starts = valid & first;
wire f_goes_on = valid & ~first;
wire [1:0] f_at = first ? 0 : f_n;
wire f_completes = f_goes_on & (f_at == 1 & beat.last | f_at == 2);
wire f_was_last1 = f_b1[7];
wire f_was_last2 = f_b2[7];
wire [23:0] f_now = f_at == 1 ? {8'd0, f_here, f_bytes[7:0]} : {f_here, f_bytes[15:0]};
always @(posedge clk) begin
    if (valid) assume (first == !f_open);
    if (valid) assume (beat.count <= 64 && (beat.last || beat.count == 64));
    f_b1 <= beat[520:512];
    {f_data1, f_data2} <= {f_here, f_data1};
    f_b2 <= f_b1;
    if (f_starts) f_bytes <= {16'd0, f_here};
    else if (f_goes_on && f_at < 3) f_bytes <= f_now;
    if (f_starts) f_side <= {tag, port};
    {f_side1, f_side2} <= {tag, port, f_side1};
    {f_again1, f_again2} <= {f_side, f_again1};
    {f_bytes1, f_bytes2} <= {f_now, f_bytes1};
    {f_length1, f_length2} <= {8'd64 * f_at + beat.count, f_length1};
    {f_more1, f_more2} <= {~beat.last, f_more1};
    {f_p0_1, f_p0_2, f_p1_1} <= {f_here0, f_p0_1, f_here1};
    {f_o1, f_o2} <= {header_tag, header_port, f_o1};
    if (rst) begin
        {f_open, f_n, f_paused, f_v1, f_v2, f_a1, f_a2, f_c1} <= 0;
    end else begin
        if (valid) f_open <= ~beat.last;
        if (valid && f_at < 3) f_n <= f_at + 1;
        if (f_starts) f_paused <= 0;
        else if (f_open && !valid && f_n < 3) f_paused <= 1;
        {f_v1, f_v2} <= {f_starts, f_v1};
        {f_a1, f_a2} <= {f_completes & f_paused, f_a1};
        f_c1 <= f_goes_on;
    end
end
// A frame that began two clocks ago has come without a pause.
wire f_two = f_v2 & ~f_was_last2 & f_c1;
wire f_without_pause = f_v2 & (f_was_last2 | f_c1 & (f_was_last1 | f_goes_on));
wire f_three = f_two & ~f_was_last1 & f_goes_on;
always @(posedge clk) if (!rst) begin
    given_once: assert (header_valid == (f_without_pause | f_a2));
    never_two: assert (!(f_without_pause & f_a2));
    if (f_without_pause) parts_as_they_came: assert (f_p0_2 == f_data2 && f_p1_1 == (f_two ? f_data1 : 0)
        && f_here2 == (f_three ? f_here : 0));
    if (f_without_pause) side_as_it_came: assert (f_o2 == f_side2);
    if (f_without_pause) length_as_it_came: assert (more == (f_three & ~beat.last)
        && length == (f_three ? 128 + beat.count : f_two ? 64 + f_b1[6:0] : f_b2[6:0]));
    if (f_a2) parts_again: assert ({f_here2, f_p1_1, f_p0_2} == f_bytes2 && f_o2 == f_again2);
    if (f_a2) length_again: assert (length == f_length2 && more == f_more2);
    if (f_open) place_is_its: assert (next == f_n && f_n != 0);
    if (f_open && f_n < 3) missed_is_paused: assert (missed == f_paused);
    if (f_open && f_n < 3 && !f_paused) has_just_begun: assert (f_n == 1 ? f_v1 : f_v2 && f_c1);
    if (!f_open || f_n == 3) nothing_missed: assert (!missed);
    if (f_open && f_n < 3) kept_as_it_came: assert (f_kept0 == f_bytes[7:0] && {tag_q, port_q} == f_side && (f_n < 2 || f_kept1 == f_bytes[15:8]));
    on_their_way: assert (starts_d1 == f_v1 && going_1_d1 == (f_v2 & (f_was_last2 | f_c1)) && again_1 == f_a1 && again_2 == f_a2);
    if (f_v1) first_beat_is_kept: assert (beat_d1[520:512] == f_b1);
    if (f_v2) ended_by_then: assert (or_33_d1 == (f_was_last2 | f_was_last1));
end
