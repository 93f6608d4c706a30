// scheduler: strict queues first, the highest first; who waits alone is served; of the others one is served that has a balance
// above 0, or would have with one quantum more if none has. Nobody saves more than a quantum or owes more than 16,384 bytes and what two
// clocks send; a balance falls by what its queue sends and by nothing else, and where none is above 0 all rise: so whoever
// waits has one in the end. Around it stands what `egress_queues` does: a queue that has several beats, or gives none, waits on.
localparam F_QUEUES = $bits(pick);
localparam F_ROW = $bits(rows) / F_QUEUES;
(* anyconst *) wire [F_QUEUES*F_ROW-1:0] f_rows; // as long as nobody writes them
wire [F_QUEUES-1:0] f_strict;
wire [F_QUEUES-1:0] f_gives = free ? (ended ? pick : current & waits) : 0;
wire [F_QUEUES-1:0] f_stays = waits & ~(f_gives & ~several);
reg [F_QUEUES-1:0] f_left = 0; // waited, and have a beat left
reg [F_QUEUES-1:0] f_waited = 0;
reg f_new = 1; // as reset left it: who is strict is not known yet
reg f_none = 0; // nobody who waited had a balance above 0
always @(posedge clk) begin
    assume (rows == f_rows);
    assume ((several & ~waits) == 0);
    assume ((current & (current - 1)) == 0);
    assume ((charge & (charge - 1)) == 0);
    assume ((f_left & ~waits) == 0);
    f_left <= rst ? 0 : f_stays;
    f_waited <= rst ? 0 : waits;
    f_none <= (above & waits) == 0 && !rst;
    f_new <= rst;
end

wire [F_QUEUES-1:0] f_first = f_left & f_strict;
wire [F_QUEUES-1:0] f_sharing = f_left & ~f_strict;
wire [F_QUEUES-1:0] f_had, f_had_then, f_flags, f_flags_then, f_owes, f_saves, f_falls, f_rises;
wire [F_QUEUES-1:0] f_now = f_sharing & f_had;
wire [F_QUEUES-1:0] f_then = f_sharing & f_had_then;
// The highest of a set is in it and none of the set is above.
wire [F_QUEUES-1:0] f_from = f_first != 0 ? f_first : f_now != 0 ? f_now : f_then;
wire f_alone = f_first == 0 && f_sharing != 0 && (f_sharing & (f_sharing - 1)) == 0;
wire [F_QUEUES-1:0] f_beneath = pick - 1; // and what is above is not
genvar f_n;
generate for (f_n = 0; f_n < F_QUEUES; f_n = f_n + 1) begin : f_of
    wire signed [17:0] balance = f_balances[f_n*18+:18];
    wire [7:0] weight = f_rows[f_n*F_ROW+1+:8];
    wire [8:0] quanta = weight == 0 ? 1 : weight;
    wire [7:0] quantum_now = f_quanta[f_n*8+:8];
    wire signed [19:0] wide = balance;
    wire signed [19:0] most = {3'b0, quanta, 8'b0};
    reg [7:0] quantum_before = 1;
    reg signed [17:0] before = -1;
    reg had = 0, had_then = 0;
    reg paid = 0;
    wire signed [19:0] with_one = wide + $signed({4'b0, quantum_before, 8'b0});
    wire signed [19:0] before_wide = before;
    always @(posedge clk) begin
        quantum_before <= rst ? 1 : quantum_now;
        before <= rst ? -1 : balance;
        had <= ~rst & ~balance[17];
        had_then <= ~rst & above_then[f_n];
        paid <= ~rst & f_charged[f_n];
    end
    assign f_strict[f_n] = f_rows[f_n*F_ROW];
    assign f_had[f_n] = had;
    assign f_had_then[f_n] = had_then;
    // The registers say what they are called after; of a weight of 128 and more for those that waited, else they may say no for a clock.
    wire flag_then = (f_new || !f_strict[f_n]) && with_one >= 0;
    assign f_flags[f_n] = above[f_n] == ~balance[17] && (above_then[f_n] == flag_then || (quanta > 127 && !f_waited[f_n] && !above_then[f_n]));
    assign f_owes[f_n] = wide >= (f_charged[f_n] ? -16448 : -16512);
    assign f_saves[f_n] = wide < most && quantum_now <= quanta && quantum_now != 0 && f_buts[f_n*8+:8] == quantum_now - 8'd1;
    assign f_falls[f_n] = !f_waited[f_n] || f_strict[f_n] || wide >= before_wide - (paid ? 64 : 0);
    assign f_rises[f_n] = !(f_none && f_waited[f_n] && !f_strict[f_n]) || wide >= before_wide + 192;
end endgenerate
wire [F_QUEUES*18-1:0] f_balances = {balance_3, balance_2, balance_1, balance_0};
wire [F_QUEUES*8-1:0] f_quanta = {quanta_3, quanta_2, quanta_1, quanta_0};
wire [F_QUEUES*8-1:0] f_buts = {quanta_but_one_3, quanta_but_one_2, quanta_but_one_1, quanta_but_one_0};
wire [F_QUEUES-1:0] f_charged = {charged_3, charged_2, charged_1, charged_0};
always @(posedge clk) if (!rst) begin
    one_at_most: assert ((pick & (pick - 1)) == 0);
    who_is_chosen_waits: assert ((pick & ~f_left) == 0 && (pick & ~waits) == 0);
    if (f_first != 0) strict_first: assert ((pick & f_strict) != 0);
    if (f_alone) alone_is_served: assert (pick == f_sharing);
    if (!f_alone && f_from != 0) somebody_is_served: assert (pick != 0);
    if (!f_alone && pick != 0) highest_of_those_who_may: assert ((pick & f_from) != 0 && (f_from & ~pick & ~f_beneath) == 0);
    flags_are_of_the_balance: assert (&f_flags);
    nobody_owes_more: assert (&f_owes);
    nobody_saves_more: assert (&f_saves);
    falls_by_what_is_sent: assert (&f_falls);
    all_rise_where_none_has: assert (&f_rises);
    if (f_charged != 0) one_pays: assert ((f_charged & (f_charged - 1)) == 0);
end
