// arbiter: beats pass one clock later as they came, one input at a time, frames never mixed, none begun without a credit.
wire [4:0] f_readies = {in4_ready, in3_ready, in2_ready, in1_ready, in0_ready};
wire [4:0] f_in = requests & f_readies;
wire [$bits(in0_data)-1:0] f_word = in0_data & {$bits(in0_data){f_in[0]}} | in1_data & {$bits(in0_data){f_in[1]}}
    | in2_data & {$bits(in0_data){f_in[2]}} | in3_data & {$bits(in0_data){f_in[3]}} | in4_data & {$bits(in0_data){f_in[4]}};
wire f_any = |f_in;
reg f_passed = 0;
reg [$bits(in0_data)-1:0] f_was;
reg f_open = 0;
reg f_was_first = 0;
reg [4:0] f_from = 0;
reg [7:0] f_owed = 0; // frames begun whose verdict has not left
wire f_begins = f_any & ~f_open;
// Who has a word is who was said to have one.
wire [4:0] f_more = {in4_coming, in3_coming, in2_coming, in1_coming, in0_coming}
    | {in4_behind, in3_behind, in2_behind, in1_behind, in0_behind};
reg [4:0] f_next = 0;
always @(posedge clk) f_next <= rst ? 0 : f_more | requests & ~f_in;
always @(posedge clk) if (!rst) assume (requests == f_next);
// The first that has a word then, counted from the one behind the one that is served.
wire [9:0] f_twice = {f_more | requests & ~grant, f_more | requests & ~grant} & ~{5'd0, grant | grant - 5'd1};
wire [9:0] f_lowest = f_twice & -f_twice;
reg [4:0] f_turn = 0;
always @(posedge clk) f_turn <= rst || !chooses ? 0 : f_lowest[9:5] | f_lowest[4:0];
always @(posedge clk) begin
    if (credit_return) assume (f_owed != 0);
    f_passed <= f_any & ~rst;
    f_was <= f_word;
    f_was_first <= ~f_open;
    if (rst) begin
        f_open <= 0;
        f_owed <= 0;
    end else begin
        f_owed <= f_owed + f_begins - credit_return;
        if (f_any) begin
            f_open <= ~f_word[133];
            f_from <= f_in;
        end
    end
end
always @(posedge clk) if (!rst) begin
    one_at_a_time: assert ((f_in & (f_in - 1)) == 0);
    if (f_open && f_any) frames_do_not_mix: assert (f_in == f_from);
    passes_when_taken: assert (valid == f_passed);
    if (f_passed) as_it_came: assert (beat[134:128] == f_was[134:128] && tag == f_was[198:135] && port == f_was[202:199]);
    if (f_passed && f_was[132:128] == 16) full_beats_as_they_came: assert (beat[127:0] == f_was[127:0]);
    if (f_passed) first_is_marked: assert (first == f_was_first);
    if (f_any) only_with_room: assert (room);
    if (f_begins) only_with_a_credit: assert (f_owed < HEADER_SLOTS);
    one_is_served: assert (grant != 0 && (grant & (grant - 1)) == 0);
    behind_the_served: assert (after == ~(grant | (grant - 5'd1)));
    if (f_turn != 0) in_turn: assert (grant == f_turn);
    if (!open_frame && |requests) who_asks_is_served: assert (|(grant & requests));
    frame_is_open: assert (open_frame == f_open);
    if (f_open) frame_is_of_one: assert (grant == f_from && f_from != 0 && (f_from & (f_from - 1)) == 0);
    if (may_start) may_start_has_a_credit: assert (credits != 0);
    credits_are_owed: assert (credits + f_owed == HEADER_SLOTS);
end
